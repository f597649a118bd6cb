"""Accounts and sessions: register, sign in, stay signed in, sign out."""

import unicodedata

import pytest

from smoke.api import Http
from smoke.expect import has, same, true
from smoke.visit import Person, Visit


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


def test_login(visit: Visit, zoe: Person) -> None:
    """the right password signs in, and the refresh token renews the access token"""
    again = Person(visit.url, unicodedata.normalize("NFD", zoe.username), zoe.password)
    again.login()
    same("user after login", again.user, zoe.user)
    again.sign_in(again.http.post("/auth/refresh", {"refresh_token": again.refresh_token}), 200)
    again.http.get("/me").must_be(200)
    again.http.post("/auth/logout").must_be(204)
    again.http.get("/me").must_be_problem(401, "unauthorized")
    again.http.close()


def test_wrong_password(outsider: Http, visit: Visit, zoe: Person) -> None:
    """a wrong password is 401 bad_credentials, the same answer as for an unknown user"""
    wrong = outsider.post("/auth/login", {"username": zoe.username, "password": "not the password"})
    wrong.must_be_problem(401, "bad_credentials")
    unknown = outsider.post("/auth/login", {"username": f"nobody-{visit.nonce}", "password": "not the password"})
    unknown.must_be_problem(401, "bad_credentials")
    same("the answer for an unknown user", unknown.body.get("detail"), wrong.body.get("detail"))


def test_sessions(ada: Person) -> None:
    """sessions are listed, and one that is ended is 401 at once"""
    other = Person(ada.http.url, ada.username, ada.password)
    mine = ada.http.get("/auth/sessions").must_have(200, "sessions")
    other.login()
    listed = ada.http.get("/auth/sessions").must_have(200, "sessions")
    same("sessions marked current", sum(session["current"] for session in listed), 1)
    new = {session["id"] for session in listed} - {session["id"] for session in mine}
    true("one more session after another login", len(new) == 1, seen={"more": len(new)})
    ada.http.delete(f"/auth/sessions/{new.pop()}").must_be(204)
    other.http.get("/me").must_be_problem(401, "unauthorized")
    ada.http.get("/me").must_be(200)
    other.http.close()


@pytest.mark.two_accounts
def test_password_change(ada: Person) -> None:
    """the password is changed only by who knows it"""
    wrong = {"current_password": "not the password", "new_password": f"{ada.password}-new"}
    ada.http.post("/auth/password", wrong).must_be_problem(401, "bad_credentials")
    right = {"current_password": ada.password, "new_password": f"{ada.password}-new"}
    ada.http.post("/auth/password", right).must_be(204)
    ada.password = right["new_password"]
    ada.http.get("/me").must_be(200)


def test_unknown_account_fields_are_ignored(outsider: Http) -> None:
    """fields nobody documented are ignored, and the documented faults still named"""
    answer = outsider.post("/auth/login", {"username": 1, "password": "long enough", "more": True})
    answer.must_be_problem(400, "invalid_field", field="username")
    has("the problem", answer.body, code="invalid_field")
