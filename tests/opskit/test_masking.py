"""What is printed holds no secret."""

import pytest

from opskit.masking import masker
from tests.opskit.repos import Repos

_GITHUB = "ghp_" + "a1B2" * 9


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("see https://bob:hunter2@example.org/x.git", "see https://bob:***@example.org/x.git"),
        (f"https://{_GITHUB}@github.com/x", "https://***@github.com/x"),
        (f"token={_GITHUB}.", "token=***."),
        ("Authorization: Bearer abcdef0123456789.x-y_z", "Authorization: Bearer ***"),
        ("it is correct-horse!", "it is ***!"),
        ("https://example.org:8000/a@b and git@example.org:x.git", None),
        ("ssh://git@example.org/x, chat@local, a short pw, branch development", None),
    ],
)
def test_secrets_are_masked_and_nothing_else(text: str, shown: str | None) -> None:
    mask = masker({"DEPLOY_TOKEN": "correct-horse", "DB_PASSWORD": "pw", "X_SECRET": "development", "HOME": "correct"})
    assert mask(text) == (text if shown is None else shown)


def test_a_token_in_the_environment_does_not_get_out_with_the_log_of_ci(repos: Repos) -> None:
    here = repos.project(config='[ci]\ntests = "echo it is $MY_TOKEN; false"\n').here
    ran = here.opskit("ci", "--json", env={"MY_TOKEN": "correct-horse-battery"})
    assert ran.code == 1
    assert "it is ***" in ran.err
    assert "battery" not in ran.err + ran.out
