"""`opskit report` on a real repository: figures, JSON, the page, and wrong calls."""

import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest

from opskit.git.runner import Git
from opskit.ledger import Ledger
from tests.opskit.repos import Project, Repos

KEYS = {
    "change_lead_time",
    "deployment_frequency",
    "failed_deployment_recovery_time",
    "change_fail_rate",
    "deployment_rework_rate",
}


def told_of(project: Project, *, times: int = 5) -> None:
    """A story, a release, deployments of five commits of which one was rolled back, an incident and a review."""
    here = project.here
    here.git("switch", "-q", "develop")
    here.commit("feat(rooms): <b>unread</b> counts\n\nRefs: US-007\nPoints: 5", {"a.txt": "a\n"})
    assert here.opskit("release", "--yes").code == 0
    book, began = Ledger(Git(here.path)), datetime.now(UTC) - timedelta(hours=times)
    facts = {"target": "live", "phase": "outcome", "result": "done"}
    for number in range(times):
        sha = here.commit(f"fix: no. {number}", {"b.txt": f"{number}\n"})
        at = (began + timedelta(hours=number)).timestamp()
        book.append("deploy", {**facts, "version": f"0.0.{number}", "commit": sha}, subject="deploy", now_s=at)
    left = {"version": "0.0.3", "commit": "x", "previous": f"0.0.{times - 1}"}
    back = datetime.now(UTC).timestamp()
    book.append("rollback", {**facts, **left}, subject="rollback", now_s=back)
    title = '<script>alert("x")</script> crashes'
    opened = here.opskit("incident", "open", title, "--severity", "S0", "--detected-at", "1 hour ago", "--json")
    assert opened.code == 0, opened.err
    assert here.opskit("incident", "mitigate", opened.json["id"]).code == 0
    assert here.opskit("incident", "resolve", opened.json["id"]).code == 0


def test_the_figures_are_in_the_json_each_with_its_n(repos: Repos) -> None:
    project = repos.project()
    told_of(project)
    ran = project.here.opskit("report", "--json")
    assert ran.code == 0, ran.err
    dora, done = ran.json["dora"], ran.json["summary"]
    assert (set(dora), ran.json["schema"]) == (KEYS, 1)
    assert (dora["deployment_frequency"]["n"], dora["change_fail_rate"]["rate"]) == (5, 0.2)
    assert dora["failed_deployment_recovery_time"]["note"] == "insufficient data"
    assert dora["failed_deployment_recovery_time"]["median_s"] is None
    assert {"id": "US-007", "points": 5, "release": "1.1.0", "together": []} in done["stories"]
    assert (done["points"], len(done["releases"])) == (5, 2)
    assert done["incidents"][0]["time_to_recovery_s"] == pytest.approx(3600, abs=60)


def test_a_repository_without_deployments_has_insufficient_data_for_all(repos: Repos) -> None:
    ran = repos.project().here.opskit("report")
    assert ran.code == 0
    assert ran.out.count("insufficient data") == 5
    assert "Change lead time" in ran.out


def test_the_page_stands_alone_and_shows_texts_as_texts(repos: Repos) -> None:
    project = repos.project()
    told_of(project)
    page = project.here.path / "report.html"
    assert project.here.opskit("report", "--html", str(page)).code == 0
    text = page.read_text(encoding="utf-8")
    assert "&lt;script&gt;" in text
    assert "<script" not in text
    assert not re.search(r"(?:src|href|url\()\s*=?\s*[\"']?(?:https?:)?//", text)
    seen: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            seen.append(tag)

    Tags().feed(text)
    assert {"svg", "rect", "table"} <= set(seen)
    assert not {"script", "link", "img", "iframe"} & set(seen)


def test_a_period_leaves_out_what_was_before(repos: Repos) -> None:
    project = repos.project()
    told_of(project)
    assert (
        project.here.opskit("report", "--since", "150 minutes", "--json").json["dora"]["deployment_frequency"]["n"] == 2
    )


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (("--since", "yesteryear"), "'yesteryear' is no time"),
        (("--since", ""), "--since is empty"),
        (("--since", "2999-01-01"), "in the future"),
        (("--html", "no/such/report.html"), "no directory no/such"),
        (("--html", "."), "is a directory"),
        (("--target", "moon"), "no target"),
    ],
)
def test_a_wrong_call_names_the_value_and_the_remedy(repos: Repos, call: tuple[str, ...], says: str) -> None:
    ran = repos.project().here.opskit("report", *call, "--json")
    assert (ran.code, bool(ran.json["remedy"])) == (2, True)
    assert says in ran.json["error"]
