"""The last check: what this run made can be removed, and is."""

import pytest

from smoke.visit import Person, Visit


@pytest.mark.two_accounts
def test_erased_account(visit: Visit, ada: Person, zoe: Person) -> None:
    """an account is erased, and its token ends with it"""
    visit.remove_rooms()
    zoe.http.delete("/me", {}).must_be_problem(400, "missing_field", field="password")
    visit.erase(ada, zoe)
    for person in (ada, zoe):
        person.http.get("/me").must_be_problem(401, "unauthorized")


def test_nothing_is_left(visit: Visit) -> None:
    """the rooms and accounts this run made are gone again"""
    visit.leave()
