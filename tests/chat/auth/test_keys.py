"""Keys: made once, kept private, rotated, and refused when they are no good."""

import base64
import json
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest

from chat.auth import tokens
from chat.auth.keys import KeyRing, KeysFault, read, read_or_make, rotate
from chat.protocol.errors import Fault, TokenExpired, Unauthorized


def test_keys_are_made_once_for_their_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "data" / "keys.json"
    before = os.umask(0)
    try:
        made = read_or_make(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_or_make(path) == made
    assert [p.name for p in path.parent.iterdir()] == ["keys.json"]


def test_processes_that_start_at_once_agree_on_the_keys(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: read_or_make(tmp_path / "keys.json"), range(16)))
    assert all(keys == made[0] for keys in made)


def test_no_secret_is_in_what_is_printed(tmp_path: Path) -> None:
    keys = read_or_make(tmp_path / "keys.json")
    for secret in (keys.pepper, keys.signing[0].secret):
        assert repr(secret)[2:-1] not in repr(keys)
        assert base64.b64encode(secret).decode() not in repr(keys)


def _short() -> str:
    good = base64.b64encode(b"x" * 64).decode()
    return json.dumps({"pepper": good, "signing": [{"kid": "k", "secret": base64.b64encode(b"x" * 16).decode()}]})


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"pepper": "eA==", "signing": []}', '{"pepper": "%", "signing": [{"kid": "k"}]}', _short()]
)
def test_a_damaged_or_short_key_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(KeysFault) as fault:
        read_or_make(path)
    assert str(path) in str(fault.value)
    assert "eHh4" not in str(fault.value)


def _token(ring: KeyRing, now_s: float = 1000.0) -> str:
    return tokens.issue(ring, user_id="u_1", session_id="s_1", now_s=now_s, ttl_s=60)


def test_a_rotated_key_signs_at_once_and_the_one_before_still_verifies(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys.json")
    verifier, first = tokens.Verifier(ring), _token(ring)
    rotate(tmp_path / "keys.json")
    second = _token(ring)
    assert jwt.get_unverified_header(first)["kid"] != jwt.get_unverified_header(second)["kid"]
    for token in (first, second):
        assert verifier.verify(token, now_s=1001).user_id == "u_1"
    rotate(tmp_path / "keys.json")
    _token(ring)
    with pytest.raises(Unauthorized):
        verifier.verify(first, now_s=1001)
    assert len(read(tmp_path / "keys.json").signing) == 2


def test_a_token_that_was_good_before_still_runs_out(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "keys.json")
    verifier, token = tokens.Verifier(ring), _token(ring)
    assert verifier.verify(token, now_s=1059) == verifier.verify(token, now_s=1059)
    with pytest.raises(TokenExpired):
        verifier.verify(token, now_s=1060)


def test_only_so_many_tokens_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_REMEMBERED", 2)
    ring = KeyRing(tmp_path / "keys.json")
    verifier = tokens.Verifier(ring)
    for token in (several := [_token(ring) for _ in range(5)]):
        verifier.verify(token, now_s=1001)
    assert len(verifier) == 2
    assert verifier.verify(several[0], now_s=1001).user_id == "u_1"


Forge = Callable[[dict[str, Any], bytes, str], str]


@pytest.mark.parametrize(
    "forge",
    [
        lambda claims, secret, kid: jwt.encode(claims, b"y" * 64, "HS256", {"kid": kid}),
        lambda claims, secret, kid: jwt.encode(claims, secret, "HS384", {"kid": kid}),
        lambda claims, secret, kid: jwt.encode(claims, "", "none", {"kid": kid}),
        lambda claims, secret, kid: jwt.encode(claims, secret, "HS256", {"kid": "k_other"}),
        lambda claims, secret, kid: jwt.encode(claims, secret, "HS256"),
        lambda claims, secret, kid: jwt.encode(claims | {"aud": "other"}, secret, "HS256", {"kid": kid}),
        lambda claims, secret, kid: jwt.encode(claims | {"iss": "other"}, secret, "HS256", {"kid": kid}),
        lambda claims, secret, kid: jwt.encode(claims | {"exp": "soon"}, secret, "HS256", {"kid": kid}),
        *[
            lambda claims, secret, kid, left_out=left_out: jwt.encode(
                {k: v for k, v in claims.items() if k != left_out}, secret, "HS256", {"kid": kid}
            )
            for left_out in ("exp", "iat", "iss", "aud", "sub", "sid")
        ],
        lambda claims, secret, kid: jwt.encode(claims, secret, "HS256", {"kid": kid})[:-2],
        lambda claims, secret, kid: "a.b.c",
        lambda claims, secret, kid: "",
        lambda claims, secret, kid: "é",
        lambda claims, secret, kid: "x" * 100_000,
    ],
)
def test_no_token_but_ours_is_good(tmp_path: Path, forge: Forge) -> None:
    ring = KeyRing(tmp_path / "keys.json")
    key = ring.signing()
    good = jwt.decode(_token(ring), options={"verify_signature": False})
    with pytest.raises(Fault) as fault:
        tokens.Verifier(ring).verify(forge(good, key.secret, key.kid), now_s=1001)
    assert type(fault.value) is Unauthorized
