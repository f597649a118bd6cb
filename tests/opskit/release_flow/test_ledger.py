"""The ledger: a chain that several clones write, and its numbers."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from opskit.git.runner import Git
from opskit.ledger import REF, Event, Ledger
from tests.opskit.repos import Repo, Repos


def ledger(repo: Repo) -> Ledger:
    return Ledger(Git.discover(repo.path), "origin" if repo.git("remote") else "")


def incident(name: str) -> tuple[dict[str, object], str]:
    return {"title": "rooms"}, f"incident {name}: rooms"


def test_an_event_reads_in_plain_git_log_and_comes_back_as_it_was(repos: Repos) -> None:
    book = ledger(repos.project().here)
    written = book.append("deploy", {"version": "1.0.0", "target": "café"}, subject="deploy 1.0.0 to café")
    [read] = book.read()
    assert (read.id, read.at, read.kind, read.data) == (written.id, written.at, written.kind, written.data)
    assert book.git.text("log", "--format=%s", REF) == "deploy 1.0.0 to café"
    assert read.actor
    assert book.verify() == []


def test_a_server_where_git_knows_nobody_can_write_events(repos: Repos) -> None:
    repo = repos.empty()
    repo.git("config", "user.useConfigOnly", "true")
    repo.git("config", "user.email", "")
    book = ledger(repo)
    book.append("deploy", {}, subject="deploy")
    assert len(book.read()) == 1


def test_events_of_two_clones_are_joined_with_their_ids(repos: Repos) -> None:
    project = repos.project()
    one, two = ledger(project.here), ledger(project.here.clone("two"))
    first, second = one.append("a", {}, subject="a"), two.append("b", {}, subject="b")
    assert one.sync().shared
    assert two.sync().fetched == 1
    assert one.sync().fetched == 1
    assert {event.id for event in one.read()} == {first.id, second.id} == {event.id for event in two.read()}
    assert one.verify() == two.verify() == []


def test_an_unreachable_remote_keeps_the_ledger_here_and_says_so(repos: Repos) -> None:
    project = repos.project()
    project.here.git("remote", "set-url", "origin", str(project.here.path / "gone.git"))
    book = ledger(project.here)
    book.append("a", {}, subject="a")
    synced = book.sync()
    assert not synced.shared
    assert "kept here only" in synced.said
    assert len(book.read()) == 1


def test_two_incidents_numbered_at_once_get_two_numbers(repos: Repos) -> None:
    project = repos.project()
    clones = [ledger(project.here.clone(f"clone{n}")) for n in range(4)]
    with ThreadPoolExecutor() as pool:
        events: list[Event] = list(pool.map(lambda book: book.number("incident", incident, prefix="INC"), clones))
    assert sorted(event.data["name"] for event in events) == ["INC-001", "INC-002", "INC-003", "INC-004"]
    for book in clones:
        book.sync()
        assert book.verify() == []
        assert len(book.read()) == 4


def test_an_incident_numbered_offline_has_a_suffix_that_it_keeps(repos: Repos) -> None:
    project = repos.project()
    book = ledger(project.here)
    project.here.git("remote", "set-url", "origin", str(project.here.path / "gone.git"))
    offline = book.number("incident", incident, prefix="INC")
    assert offline.data["name"].startswith("INC-001-")
    project.here.git("remote", "set-url", "origin", str(project.remote.path))
    assert book.number("incident", incident, prefix="INC").data["name"] == "INC-002"
    other = ledger(project.here.clone("other"))
    other.sync()
    assert [event.data["name"] for event in other.read()] == [offline.data["name"], "INC-002"]


def test_without_a_remote_incidents_are_simply_counted(repos: Repos) -> None:
    book = ledger(repos.empty())
    names = [book.number("incident", incident, prefix="INC").data["name"] for _ in range(2)]
    assert names == ["INC-001", "INC-002"]


def test_events_written_by_four_threads_at_once_are_all_there(repos: Repos) -> None:
    path: Path = repos.empty().path
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: Ledger(Git(path)).append("n", {"n": n}, subject=str(n)), range(40)))
    assert sorted(event.data["n"] for event in Ledger(Git(path)).read()) == list(range(40))


def test_a_text_with_every_kind_of_line_break_comes_back_as_it_was(repos: Repos) -> None:
    book = ledger(repos.empty())
    text = "a\nb\rc\u2028d\u2029e\x85f\x0bg ☕"
    book.append("note", {"text": text}, subject=text)
    assert [event.data["text"] for event in book.read()] == [text]
    assert book.verify() == []


def test_verify_finds_a_foreign_commit_and_an_event_that_was_lost(repos: Repos) -> None:
    project = repos.project()
    book = ledger(project.here)
    book.append("a", {}, subject="a")
    lost = book.append("b", {}, subject="b")
    assert book.sync().shared
    tree = project.here.git("mktree", stdin="")
    foreign = project.here.git("commit-tree", tree, "-p", f"{REF}~1", "-m", "not an event")
    project.here.git("update-ref", REF, foreign)
    assert any("holds no event" in fault for fault in book.verify())
    assert any(lost.id in fault for fault in book.verify())


def test_another_clone_reads_what_was_shared_and_pushes_nothing_by_reading(repos: Repos) -> None:
    project = repos.project()
    other = project.here.clone("other")
    assert project.here.opskit("release").code == 0
    shown = other.opskit("ledger", "show", "--kind", "release", "--json").json["events"]
    assert [event["data"]["tag"] for event in shown] == ["v1.1.0"]
    Ledger(Git(other.path), "origin").append("note", {}, subject="only here")
    before = project.remote.git("rev-parse", "refs/opskit/ledger")
    assert len(other.opskit("ledger", "export").out.splitlines()) == len(shown) + 1
    assert other.opskit("undo", "--dry-run").code == 0
    assert project.remote.git("rev-parse", "refs/opskit/ledger") == before
    other.git("remote", "set-url", "origin", str(repos.folder / "gone.git"))
    offline = other.opskit("ledger", "show", "--json")
    assert (offline.code, len(offline.json["events"])) == (0, 2)
    assert "may be missing" in offline.err


def test_a_hotfix_finished_in_another_clone_keeps_its_incident(repos: Repos) -> None:
    project = repos.project()
    here = project.here
    assert here.opskit("hotfix", "start", "x", "--incident", "INC-007").code == 0
    here.commit("fix: x")
    here.git("push", "-q", "origin", "hotfix/x")
    assert here.opskit("hotfix", "approve", "--reviewer", "Ada").code == 0
    other = here.clone("other")
    ran = other.opskit("hotfix", "finish", "--override", "now", "--json")
    assert ran.code == 0, ran.err
    [event] = [event for event in Ledger(Git(other.path)).read() if event.kind == "hotfix"]
    assert event.data["incident"] == "INC-007"
