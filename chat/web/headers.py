"""What every answer carries, so that a browser trusts it with no more than it is."""

API_POLICY = "default-src 'none'; frame-ancestors 'none'"
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
ALONE = HEADERS | {"Content-Security-Policy": API_POLICY, "Cache-Control": "no-store", "Connection": "close"}
"""Those of a refusal that ends its connection before any handler saw the request."""
