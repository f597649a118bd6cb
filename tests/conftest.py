"""What every test may use: the rule for things a machine may lack."""

import os

import pytest

REQUIRE_ALL = os.environ.get("REQUIRE") == "all"


def lacking(reason: str, *, install: str) -> None:
    """Skip the running test because of *reason*, naming the command that provides what it needs.

    Under `make test REQUIRE=all` it fails instead, so that CI leaves nothing out unnoticed.
    """
    message = f"{reason}; to provide it: {install}"
    if REQUIRE_ALL:
        pytest.fail(message)
    pytest.skip(message)
