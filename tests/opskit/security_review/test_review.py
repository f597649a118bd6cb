"""Each weakness is found where it is, and nothing where there is none."""

import pytest

from opskit.errors import Refused
from opskit.security_review.catalogue import WEAKNESSES
from opskit.security_review.review import PROBES, Reviewed, review
from opskit.security_review.service import Service
from tests.opskit.deploy.shop import free_port
from tests.opskit.security_review.faulty import FaultyChat, served

ALWAYS = {"registration-open", "ws-compression"}  # the second is Hypercorn's own, a real fault of it
OUTSIDE = {"no-tls", "tls-certificate", "no-hsts", "metrics-open", "no-signin-limit"}  # not to be seen on loopback
EXPIRING = {"ws-expired-token", "http-expired-token", "ws-expired-session"}
ALSO = {  # one fault that is several weaknesses
    "ws-membership-live": {"ws-membership-live", "http-membership", "ws-membership-resume"},
}
ONE_BY_ONE = sorted(set(WEAKNESSES) - ALWAYS - OUTSIDE - EXPIRING)


def looked_at(chat: FaultyChat, *, max_wait_s: float = 0) -> Reviewed:
    with served(chat) as url:
        service = Service(url, settle_s=0.5)
        try:
            return review(service, max_wait_s=max_wait_s)
        finally:
            service.close()


def ids(done: Reviewed) -> set[str]:
    return {found.id for found in done.findings}


def test_a_sound_service_has_none_and_nothing_is_left_in_it() -> None:
    chat = FaultyChat()
    done = looked_at(chat)
    assert ids(done) == ALWAYS
    assert (chat.users, chat.members, done.left) == ({}, {}, [])
    assert set(done.unchecked) == {"expired tokens", "TLS and HSTS", "/metrics for strangers", "limit of sign-ins"}


@pytest.mark.slow
@pytest.mark.parametrize("fault", ONE_BY_ONE)
def test_a_weakness_is_found_alone(fault: str) -> None:
    assert ids(looked_at(FaultyChat(fault))) == ALWAYS | ALSO.get(fault, {fault})


@pytest.mark.slow
@pytest.mark.parametrize("fault", sorted(EXPIRING))
def test_what_an_expired_token_still_does_is_found(fault: str) -> None:
    assert fault in ids(looked_at(FaultyChat(fault, ttl_s=2), max_wait_s=5))


@pytest.mark.slow
def test_an_expiry_that_is_kept_is_no_finding() -> None:
    assert ids(looked_at(FaultyChat(ttl_s=2), max_wait_s=5)) == ALWAYS


def test_the_three_findings_of_the_story_have_their_severities() -> None:
    done = looked_at(FaultyChat("ws-no-token", "ws-revoked-session", "ws-membership-resume"))
    story = {found.id: found.severity.name for found in done.findings if found.id not in ALWAYS}
    assert story == {"ws-no-token": "S0", "ws-revoked-session": "S2", "ws-membership-resume": "S2"}
    assert done.findings[0].id == "ws-no-token"
    assert set(done.findings[0].as_json()) == {"id", "severity", "title", "risk", "remedy"}


def test_every_weakness_of_the_catalogue_has_a_probe() -> None:
    assert {id_ for probe in PROBES for id_ in probe.covers} | {"registration-open"} == set(WEAKNESSES)


def test_a_service_that_does_not_answer_is_refused() -> None:
    service = Service(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(Refused, match="does not answer"):
        review(service)
    service.close()
