"""From commits to notes, and from notes to Markdown that stays whole."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.git.history import Commit
from opskit.release.notes import Section, escape, render, section


def chain(*messages: str) -> list[Commit]:
    """Commits one upon the other, given oldest first, returned as a history has them: newest first."""
    made: list[Commit] = []
    for number, message in enumerate(messages):
        parents = (made[-1].sha,) if made else ()
        made.append(Commit(f"{number + 0xABC0000:07x}".ljust(40, "0"), parents, number, number, message))
    return made[::-1]


def said(*messages: str) -> dict[str, list[str]]:
    return texts(section("1.0.0", None, chain(*messages)))


def texts(notes: Section) -> dict[str, list[str]]:
    return {group: [entry.markdown for entry in entries] for group, entries in notes.groups.items()}


def test_groups_come_in_order_breaking_first_then_oldest_first() -> None:
    assert said("fix: one", "feat: two", "feat: three", "feat!: four", "security: five", "perf: six") == {
        "Added": ["**Breaking:** Four", "Two", "Three"],
        "Changed": ["Six"],
        "Fixed": ["One"],
        "Security": ["Five"],
    }


def test_the_line_of_the_contract() -> None:
    assert said("feat(notifications): room notifications with unread counts\n\nRefs: US-007") == {
        "Added": ["Room notifications with unread counts (US-007)"]
    }


def test_a_security_fix_stays_in_fixed_and_says_so_last() -> None:
    assert said("fix(security): JWT validation on the handshake (US-009)") == {
        "Fixed": ["JWT validation on the handshake (US-009) (Security)"]
    }


def test_a_trailer_replaces_the_line_or_skips_it() -> None:
    assert said("feat: x\n\nChangelog: Told for people", "feat: y\n\nChangelog: skip") == {"Added": ["Told for people"]}


def test_other_types_and_plain_subjects_are_left_out_and_counted() -> None:
    notes = section("1.0.0", None, chain("chore: a", "plain", "feat: b", "fix: c\n\nChangelog: skip", "docs: d"))

    assert (notes.left_out, list(notes.groups)) == (3, ["Added"])


def test_names_written_small_stay_small() -> None:
    assert said("feat: iOS", "feat: chat.v1", "feat: `x`", "feat: éclair", "feat: 中文", "feat: ßtrange") == {
        "Added": ["iOS", "chat.v1", "`x`", "Éclair", "中文", "ßtrange"]
    }


REVERT = 'Revert "{}"\n\nThis reverts commit {}.'


def sha(number: int) -> str:
    return f"{number + 0xABC0000:07x}".ljust(40, "0")


@pytest.mark.parametrize(
    ("messages", "left"),
    [
        (("feat: a", REVERT.format("feat: a", sha(0))), {}),
        (("feat: a", REVERT.format("feat: a", sha(0)[:7])), {}),
        (("feat: a", 'Revert "feat: a"'), {}),
        (("feat: a (#1)", 'Revert "feat: a (#1)" (#2)'), {}),
        (("feat: a", "revert: feat: a"), {}),
        (("feat: a", f"revert: all of it\n\nRefs: {sha(0)}"), {}),
        (("feat: a", f"fix: back out\n\nThis reverts commit {sha(0)}."), {}),
        (("feat: a", REVERT.format("feat: a", "f" * 40)), {}),
        (("feat: a", "feat: a", 'Revert "feat: a"'), {"Added": ["A"]}),
        (("feat: a", REVERT.format("feat: a", sha(0)), REVERT.format('Revert "feat: a"', sha(1))), {"Added": ["A"]}),
        (
            ("feat: a", REVERT.format("feat: a", sha(0)), f'Reapply "feat: a"\n\nThis reverts commit {sha(1)}.'),
            {"Added": ["A"]},
        ),
        (("feat: a", REVERT.format("feat: a", sha(0)), "feat: a"), {"Added": ["A"]}),
        ((REVERT.format("feat: old", "f" * 40),), {"Removed": ["Old"]}),
        ((REVERT.format("chore: old", "f" * 40),), {}),
        (('Reapply "feat: old"',), {"Added": ["Old"]}),
        (("feat: a", f"revert: both\n\nRefs: {sha(0)}, {'f' * 7}"), {"Removed": ["Both"]}),
    ],
)
def test_a_commit_and_its_revert_cancel_out(messages: tuple[str, ...], left: dict[str, list[str]]) -> None:
    assert said(*messages) == left


def test_a_reverted_merge_takes_back_all_it_brought() -> None:
    base, kept = "a" * 40, "b" * 40
    brought, merge = "c" * 40, "d" * 40
    commits = [
        Commit(
            "e" * 40,
            (merge,),
            5,
            5,
            f"Revert \"Merge branch 'x'\"\n\nThis reverts commit {merge}, reversing\nchanges made to {kept}.",
        ),
        Commit(merge, (kept, brought), 4, 4, "Merge branch 'x'"),
        Commit(brought, (base,), 3, 3, "feat: brought"),
        Commit(kept, (base,), 2, 2, "feat: kept"),
        Commit(base, (), 1, 1, "feat: base"),
    ]

    assert texts(section("1.0.0", None, commits)) == {"Added": ["Base", "Kept"]}


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("<script>alert(1)</script>", r"\<script>alert(1)\</script>"),
        ("[x](http://y) ![z]", r"\[x\](http://y) !\[z\]"),
        ("*stars* and __init__ but snake_case", r"\*stars\* and \_\_init\_\_ but snake_case"),
        ("`<code>` and a lone ` tick", r"`<code>` and a lone \` tick"),
        ("&amp; R&D", r"\&amp; R&D"),
        ("# no heading", r"\# no heading"),
        ("- no list", r"\- no list"),
        ("1. no number", r"1\. no number"),
        ("> no quote", r"\> no quote"),
        ("--all is an option", "--all is an option"),
        ("---", r"\---"),
        ("[ ] no task", r"\[ \] no task"),
        ("back\\slash", r"back\\slash"),
        ("☕ ünïcode 中文", "☕ ünïcode 中文"),
    ],
)
def test_text_that_looks_like_markdown_or_html_is_shown_as_it_is(text: str, markdown: str) -> None:
    assert escape(text) == markdown


@given(st.text(st.sampled_from("`*_[]()<>#+-=~!&;1.ab \\"), max_size=20))
def test_escaped_text_opens_nothing(text: str) -> None:
    shown = re.sub(r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", "", re.sub(r"\\\\", "", escape(text)))

    assert not re.search(r"(?<!\\)[<\[\]*]", shown)


def test_a_section_is_rendered_as_keep_a_changelog_has_it() -> None:
    assert render(section("1.0.0", None, chain("feat: a", "fix: b"))) == (
        "## [1.0.0]\n\n### Added\n\n- A\n\n### Fixed\n\n- B\n"
    )
