"""Accounts and sessions: register, sign in, stay signed in, sign out."""

import unicodedata

import pytest

from smoke.api import Http
from smoke.errands import Errands
from smoke.expect import CheckFailed, same, true
from smoke.visit import Person


@pytest.mark.two_accounts
def test_register(ada: Person, zoe: Person) -> None:
    """two people register, one with a name beyond ASCII"""
    same("usernames of the new accounts", [ada.user["username"], zoe.user["username"]], [ada.username, zoe.username])


def test_me(ada: Person) -> None:
    """a token shows its own profile (GET /me)"""
    same("user in GET /me", ada.http.get("/me").must_have(200, "user"), ada.user)
    ada.http.call("GET", "/me", headers={"Authorization": "Bearer nonsense"}).must_be_problem(401, "unauthorized")


@pytest.mark.two_accounts
def test_taken_name(outsider: Http, zoe: Person) -> None:
    """a taken username is 409 username_taken, in capitals and decomposed too"""
    spelled_differently = unicodedata.normalize("NFD", zoe.username.upper())
    body = {"username": spelled_differently, "password": zoe.password}
    outsider.post("/auth/register", body).must_be_problem(409, "username_taken")


def test_missing_fields(outsider: Http) -> None:
    """a missing field is 400 missing_field and named"""
    outsider.post("/auth/register", {"password": "long enough"}).must_be_problem(400, "missing_field", field="username")
    outsider.post("/auth/register", {"username": "someone"}).must_be_problem(400, "missing_field", field="password")
    outsider.post("/auth/login", {"username": "someone"}).must_be_problem(400, "missing_field", field="password")


def test_bad_bodies(outsider: Http) -> None:
    """a body that is no JSON object is 400 invalid_json, half a surrogate invalid_unicode"""
    headers = {"Content-Type": "application/json"}
    for raw in (b"{", b"[]", b'"text"'):
        outsider.call("POST", "/auth/login", content=raw, headers=headers).must_be_problem(400, "invalid_json")
    raw = b'{"username":"\\ud800","password":"long enough"}'
    answer = outsider.call("POST", "/auth/register", content=raw, headers=headers)
    answer.must_be_problem(400, "invalid_unicode", field="username")


def test_login(zoe: Person, second_session: Person) -> None:
    """the right password signs in, and the refresh token renews the access token"""
    same("user after login with the decomposed name", second_session.user, zoe.user)
    renewed = second_session.http.post("/auth/refresh", {"refresh_token": second_session.refresh_token})
    second_session.sign_in(renewed, 200)
    second_session.http.get("/me").must_be(200)


def test_wrong_password(errands: Errands) -> None:
    """a wrong password is 401 bad_credentials, the same answer as for an unknown user"""
    wrong, unknown = errands.wrong_password.result(), errands.unknown_user.result()
    wrong.must_be_problem(401, "bad_credentials")
    unknown.must_be_problem(401, "bad_credentials")
    same("the answer for an unknown user", unknown.body.get("detail"), wrong.body.get("detail"))


def test_sessions(zoe: Person, second_session: Person) -> None:
    """sessions are listed, and one that is ended is 401 at once"""
    listed = zoe.http.get("/auth/sessions").must_have(200, "sessions")
    same("sessions marked current", sum(session["current"] for session in listed), 1)
    theirs = second_session.http.get("/auth/sessions").must_have(200, "sessions")
    ended = next(session["id"] for session in theirs if session["current"])
    true("the second session among those listed", ended in {session["id"] for session in listed}, seen=len(listed))
    zoe.http.delete(f"/auth/sessions/{ended}").must_be(204)
    second_session.http.get("/me").must_be_problem(401, "unauthorized")
    zoe.http.get("/me").must_be(200)


def test_logout(errands: Errands) -> None:
    """after signing out the token is worth nothing"""
    again = errands.third_session.result()
    again.http.get("/me").must_be(200)
    again.http.post("/auth/logout").must_be(204)
    again.http.get("/me").must_be_problem(401, "unauthorized")
    again.http.close()


@pytest.mark.two_accounts
def test_password_change(ada: Person, errands: Errands) -> None:
    """the password is changed, and this session goes on"""
    if errands.password_change is None:
        raise CheckFailed("expected a password change, saw somebody's own account")
    errands.password_change.result().must_be(204)
    ada.http.get("/me").must_be(200)


def test_wrong_type(outsider: Http) -> None:
    """a field of the wrong type is 400 invalid_field and named, fields nobody documented are ignored"""
    answer = outsider.post("/auth/login", {"username": 1, "password": "long enough", "more": True})
    answer.must_be_problem(400, "invalid_field", field="username")
