"""What every answer carries, so that a browser trusts it with no more than it is."""

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
UNLESS_OWN = HEADERS | {"Content-Security-Policy": API_POLICY, "Cache-Control": "no-store"}
ALONE = UNLESS_OWN | {"Connection": "close"}
"""Those of a refusal that ends its connection before any handler saw the request."""


def of_every_answer(*, public_url: str | None) -> dict[str, str]:
    """What an answer carries of each name that it does not set itself."""
    encrypted = (public_url or "").startswith("https:")
    return UNLESS_OWN | ({"Strict-Transport-Security": "max-age=31536000"} if encrypted else {})
