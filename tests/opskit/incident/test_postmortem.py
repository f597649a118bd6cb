"""The post-mortem: every row from the record, what people must write marked, and what they wrote kept."""

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from opskit.incident.blame import blaming
from opskit.incident.markdown import block, code, merge, plain, table
from opskit.incident.postmortem import document, story, unwritten
from opskit.incident.record import incidents
from tests.opskit.incident.events import BEGAN, Book
from tests.opskit.repos import Repos

SECTIONS = [
    "Summary",
    "Impact in numbers",
    "Timeline",
    "Root cause and contributing factors",
    "Why it wasn't caught",
    "What went well / wrong / where we got lucky",
    "Action items",
    "Report to fix in production",
]


def the_incident() -> Book:
    """INCIDENT-001: noticed at 9:00, fixed by v1.0.1 in production at 12:30."""
    book = Book()
    book.deployed("1.0.0", -20 * 60)
    first = book.opened(5, title="Messages to café-☕ |crash| the server", times={"detected": BEGAN.isoformat()})
    book.did(first, "assess", 10, severity="S0", decision="hotfix", rule="S0 in the code", impact="nobody can chat")
    book.add("hotfix_start", 15, "hotfix start hotfix/unicode from v1.0.0", incident="INC-001")
    rows = [{"name": "fixes the issue", "ok": True, "detail": "tests/test_rooms.py: red on v1.0.0, green here"}]
    book.add("hotfix_check", 180, "hotfix check hotfix/unicode: 10 of 10", sha="tip", rows=rows)
    book.add("approval", 190, "approved hotfix/unicode at abc by Bo")
    book.add("hotfix", 200, "hotfix v1.0.1", incident="INC-001", version="1.0.1", sha="c1.0.1", tip="tip")
    book.deployed("1.0.1", 210, previous="1.0.0")
    book.did(first, "mitigate", 211)
    book.did(first, "resolve", 230)
    for number, title in enumerate(("Encoding tests for *all* user-input fields", "Alert on crash rate"), start=1):
        facts = {"title": title, "owner": "Ada", "due": "2026-12-07", "type": "prevent", "state": "open"}
        book.add("action", 240, number=number, name=f"ACT-00{number}", **facts, incident="INC-001", verify="a | b")
    return book


def written(book: Book, minute: float = 300) -> str:
    one = incidents(book.events)[0]
    return document(story(one, book.events, now=BEGAN + timedelta(minutes=minute)), book.events)


def cells(row: str) -> list[str]:
    """The text of each cell of a table's row, as a reader sees it."""
    tokens = MarkdownIt("commonmark", {"breaks": False}).enable("table").parse(f"| a | b |\n| --- | --- |\n{row}\n")
    inline = [token.children or [] for token in tokens if token.type == "inline"][2:]
    return ["".join(_seen(child) for child in children) for children in inline]


def _seen(token: Token) -> str:
    assert token.type in ("text", "code_inline", "text_special") or token.content == "<br>", token
    return " " if token.content == "<br>" else token.content


def test_its_sections_stand_in_their_order() -> None:
    assert re.findall(r"^## (.+)$", written(the_incident()), re.MULTILINE) == SECTIONS


def test_the_story_is_told_from_the_record_alone() -> None:
    book = the_incident()
    text = written(book)
    told = story(incidents(book.events)[0], book.events, now=BEGAN)
    assert told.fixed_s == 3.5 * 3600
    assert "**3.5 hours**: reported 2026-11-23 09:00:00 UTC, 1.0.1 in production" in text
    assert "tests/test\\_rooms.py: red on v1.0.0, green here" in text
    assert "Encoding tests for \\*all\\* user-input fields | Ada | 2026-12-07 | prevent | `a \\| b` | open" in text
    rows = [line for line in text.splitlines() if line.startswith("| 2026-")]
    known = {event.id for event in book.events}
    assert len(rows) == 10
    assert all(row.split("`")[1] in known for row in rows)
    assert "approved hotfix/unicode at abc by Bo" in text


def test_what_only_people_know_is_marked_and_nothing_in_it_blames() -> None:
    text = written(the_incident())
    assert unwritten(text) == [*SECTIONS[:2], *SECTIONS[3:5], "What went well", "What went wrong", "Where we got lucky"]
    assert blaming(text, names=["Ada", "Bo"]) == []


def test_an_incident_under_way_says_what_is_not_yet() -> None:
    book = Book()
    book.opened()
    text = written(book)
    assert "no fix is in production yet" in text
    assert "Mitigated: not yet" in text
    assert "Action items" in unwritten(text)


def test_what_a_person_wrote_or_edited_or_took_out_stays_and_the_rest_is_made_anew() -> None:
    book = the_incident()
    old = written(book).replace("> **To write:** What helped, and should stay?", "The smoke suite was fast.")
    old = old.replace("Deploys meanwhile | 1", "Deploys meanwhile | 1 (and one by hand)")
    old = re.sub(r"<!-- opskit:changes .*?opskit:end -->\n\n", "", old, flags=re.DOTALL)
    book.did(book.events[1], "note", 290, text="found later")
    merged = merge(old, written(book))
    assert (merged.renewed, merged.edited, merged.gone) == (("timeline",), ("impact",), ("changes",))
    assert "The smoke suite was fast." in merged.text
    assert "(and one by hand)" in merged.text
    assert "found later" in merged.text
    assert merge(merged.text, written(book)).text == merged.text


@given(st.text(max_size=40), st.integers(0, 200))
def test_no_character_of_a_persons_is_ever_lost(text: str, at: int) -> None:
    book = the_incident()
    lines = written(book).split("\n")
    there = "\n".join([*lines[: at % len(lines)], text, *lines[at % len(lines) :]])
    book.did(book.events[1], "note", 290, text="found later")
    assert text in merge(there, written(book)).text


def test_a_name_that_git_has_in_latin_1_is_no_reason_to_fail() -> None:
    book = Book()
    book.opened(title=b"caf\xe9".decode("utf-8", "surrogateescape"))
    assert "# INC-001: caf\ufffd" in written(book).encode().decode()


def test_line_ends_of_another_system_stay() -> None:
    book = the_incident()
    old = written(book).replace("\n", "\r\n")
    assert merge(old, written(book)).text == old
    book.did(book.events[1], "note", 290, text="found later")
    assert merge(old, written(book)).text == written(book).replace("\n", "\r\n")


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=60))
def test_any_text_is_shown_as_it_is_in_a_cell(text: str) -> None:
    shown = cells(f"| {plain('x ' + text + ' x')} | end |")
    assert [" ".join(cell.split()) for cell in shown] == [" ".join(f"x {text} x".split()), "end"]


@pytest.mark.parametrize(
    "text", ["a\nb", "a\u2028b", "| --- |\n# x", "<!-- opskit:end -->", "&lt;b&gt; <script>", "`x` | `y"]
)
def test_what_could_break_the_document_does_not(text: str) -> None:
    assert cells(f"| {plain(text)} | end |")[1] == "end"
    assert merge(block("x", table(["a"], [[plain(text)]])), block("x", "new")).text == block("x", "new")


@pytest.mark.parametrize("text", ["test -f a | b", "echo `date`", "echo ``x``"])
def test_a_command_is_shown_as_it_is(text: str) -> None:
    assert cells(f"| {code(text)} | end |") == [text, "end"]


@pytest.mark.parametrize(
    "text",
    ["Ada forgot to test it", "the reviewer should have seen it", "It was human error", "Zoë's fault",
     "you didn't check", "a stupid mistake", "she was careless", "We blame the deploy",
     "Ada Lovelace simply ignored the alert"],
)  # fmt: skip
def test_wording_that_blames_a_person_is_found(text: str) -> None:
    [warned] = blaming(f"fine\n{text}\n", names=["Ada Lovelace", "Zoë Ångström"])
    assert (warned.line, warned.text) == (2, text)


@pytest.mark.parametrize(
    "text",
    ["the request failed to reach the server", "git blame shows the commit", "a blameless review", "the test was wrong",
     "nothing in CI could have caught it", "Ada rolled it back", "we did not notice",
     "the root cause was wrong", "default retries were too many"],
)  # fmt: skip
def test_wording_about_things_is_not(text: str) -> None:
    assert blaming(text, names=["Ada Lovelace", "root"]) == []


def test_the_command_prints_writes_and_keeps(repos: Repos) -> None:
    here = repos.project().here
    here.opskit("incident", "open", "rooms ☕ crash", "--severity", "S0", "--detected-at", "3.5 hours ago")
    printed = here.opskit("postmortem", "1")
    assert (printed.code, printed.out.startswith("# INC-001: rooms ☕ crash\n")) == (0, True)
    assert not (here.path / "runbooks").exists()
    assert here.opskit("postmortem", "1", "--write", "--dry-run", "--json").json["did"] == "created"
    here.opskit("incident", "note", "1", "Zoë forgot the tests")
    here.opskit("incident", "resolve", "1")
    ran = here.opskit("postmortem", "inc-1", "--write", "--json")
    file = here.path / "runbooks" / "postmortems" / "INC-001.md"
    assert (ran.code, ran.json["id"], ran.json["path"]) == (0, "INC-001", "runbooks/postmortems/INC-001.md")
    assert (ran.json["did"], ran.json["report_to_fix"]) == ("created", "3.5 hours")
    assert file.read_text(encoding="utf-8") == ran.json["markdown"]
    assert [warned["words"] for warned in ran.json["warnings"]] == ["Zoë forgot"]
    assert "still to be written by a person: Summary" in ran.err
    file.write_text(ran.json["markdown"] + "\nmy own words\n", encoding="utf-8")
    again = here.opskit("postmortem", "1", "--write", "--json")
    assert (again.json["did"], again.json["markdown"].endswith("my own words\n")) == ("unchanged", True)
    file.write_text("all my own\n", encoding="utf-8")
    refused = here.opskit("postmortem", "1", "--write")
    assert (refused.code, file.read_text(encoding="utf-8")) == (3, "all my own\n")
    assert here.opskit("postmortem", "2").code == 2
