"""The review: every probe in its order, each on its own; then all that was made is removed."""

from collections.abc import Callable
from typing import NamedTuple

from opskit.errors import Refused
from opskit.security_review import accounts, handshake, inputs, membership, sessions, web
from opskit.security_review.case import Case
from opskit.security_review.catalogue import Finding
from opskit.security_review.service import NoAnswer, Service


class Probe(NamedTuple):
    """One look at the service. `covers`: the weaknesses it can find."""

    name: str
    look: Callable[[Case], None]
    covers: tuple[str, ...]


PROBES = (
    Probe("handshake without a token", handshake.strangers, ("ws-no-token", "ws-late-refusal")),
    Probe("handshake with false tokens", handshake.false_tokens, ("ws-forged-token", "ws-alg-none")),
    Probe("token in the query", handshake.query, ("ws-token-in-query",)),
    Probe("Origin and compression", handshake.foreign_origin, ("ws-origin", "ws-compression")),
    Probe("tickets", handshake.tickets, ("ws-ticket-reuse",)),
    Probe("calls without a token", sessions.without_token, ("http-no-token", "http-forged-token", "http-alg-none")),
    Probe("lifetime and key of tokens", sessions.lifetime, ("token-weak-secret", "token-no-expiry", "token-long-life")),
    Probe("ended sessions", sessions.ended, ("ws-revoked-session", "http-revoked-token", "ws-revoked-token")),
    Probe("refresh tokens", sessions.refresh, ("refresh-reuse",)),
    Probe("expired tokens", sessions.expiry, ("http-expired-token", "ws-expired-token", "ws-expired-session")),
    Probe(
        "rooms after leaving",
        membership.after_leaving,
        ("ws-membership-live", "ws-membership-resume", "http-membership"),
    ),
    Probe("rooms never joined", membership.outsiders, ("http-membership",)),
    Probe(
        "security headers and cookies",
        web.headers,
        ("header-nosniff", "header-csp", "header-frame", "header-referrer", "header-cache", "cookie-flags"),
    ),
    Probe("CORS", web.cors, ("cors-wildcard", "cors-credentials")),
    Probe("/metrics for strangers", web.metrics, ("metrics-open",)),
    Probe("private files", web.files, ("exposed-files", "path-traversal")),
    Probe("TLS and HSTS", web.tls, ("no-tls", "tls-certificate", "no-hsts")),
    Probe("error pages", inputs.errors, ("error-traceback", "error-500")),
    Probe("oversize bodies", inputs.body, ("body-size",)),
    Probe("oversize frames", inputs.frame, ("frame-size",)),
    Probe("who exists", accounts.enumeration, ("user-enumeration", "user-enumeration-timing")),
    Probe("default accounts", accounts.defaults, ("default-account",)),
    Probe("short passwords", accounts.registration, ("short-password",)),
    Probe("passwords in answers", accounts.leaks, ("password-leak",)),
    Probe("limit of sign-ins", accounts.guessing, ("no-signin-limit",)),
)


class Reviewed(NamedTuple):
    """What a review came to; findings worst first, `checked` are the weaknesses that were looked for."""

    findings: list[Finding]
    checked: tuple[str, ...]
    unchecked: dict[str, str]
    left: list[str]


def review(
    service: Service,
    *,
    account: tuple[str, str] | None = None,
    max_wait_s: float = 15.0,
    tell: Callable[[str, str], None] = lambda _name, _outcome: None,
) -> Reviewed:
    """Look at *service* with every probe, told of as it ends. Raises `Refused` if it does not answer at all."""
    try:
        service.reach()
    except NoAnswer as fault:
        raise Refused(f"{service.url} does not answer ({fault})", remedy="start it, or name another --url") from None
    case = Case(service, account=account, max_wait_s=max_wait_s)
    checked: list[str] = []
    try:
        case.arrive()
        for probe in PROBES:
            if probe.look is accounts.guessing:
                case.leave()  # it may cost this address its sign-ins for a while
            before = set(case.found)
            try:
                probe.look(case)
            except NoAnswer as fault:
                case.skip(probe.name, str(fault))
                tell(probe.name, f"not checked: {fault}")
            else:
                checked += probe.covers
                tell(probe.name, ", ".join(id_ for id_ in case.found if id_ not in before) or "nothing found")
    finally:
        case.leave()
    findings = sorted(case.found.values(), key=lambda found: (found.severity, found.id))
    return Reviewed(findings, tuple(dict.fromkeys(checked)), case.unchecked, case.left)
