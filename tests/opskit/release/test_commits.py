"""What a commit message says."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opskit.release.commits import GROUPS, Change, parse


def only(message: str) -> Change:
    [change] = parse(message)
    return change


def lines(message: str) -> list[tuple[str | None, str]]:
    return [(change.group, change.text) for change in parse(message)]


@pytest.mark.parametrize(
    ("subject", "group"),
    [
        ("feat: x", "Added"),
        ("FEAT(rooms): x", "Added"),
        ("fix(web,api): x", "Fixed"),
        ("perf: x", "Changed"),
        ("refactor!: x", "Changed"),
        ("refactor: x", None),
        ("revert: x", "Removed"),
        ("deprecate: x", "Deprecated"),
        ("security: x", "Security"),
        ("fix(security): x", "Fixed"),
        ("chore: x", None),
        ("docs(readme): x", None),
        ("build(deps)!: x", "Changed"),
        ("plain words", None),
        ("fixup! feat: x", None),
        ("feature: x", None),
        ("feat x", None),
        ("feat:x", None),
        ("feat(): x", None),
        ("feat( ): x", None),
        ("feat : x", None),
        (": x", None),
        ("", None),
        ("Merge branch 'feat: x' into develop", None),
        ("http://feat: x", None),
        ("--all: x", None),
    ],
)
def test_the_type_decides_the_group(subject: str, group: str | None) -> None:
    assert only(subject).group == group


@pytest.mark.parametrize(
    "message",
    [
        "feat!: x",
        "feat(a)!: x",
        "feat: x\n\nBREAKING CHANGE: y",
        "feat: x\n\nprose\nBREAKING-CHANGE: y\nmore",
        "feat: x\r\n\r\nBREAKING CHANGE: y\r\n",
        "fix: x\n\nbody\n\nBREAKING CHANGE #y\nRefs: US-1",
    ],
)
def test_a_breaking_change_is_told_by_mark_or_footer(message: str) -> None:
    assert only(message).breaking


def test_prose_about_breaking_changes_is_none() -> None:
    assert not only("feat: x\n\nThis is no BREAKING CHANGE: promised.\nbreaking change: no").breaking


@pytest.mark.parametrize(
    ("message", "text", "stories"),
    [
        ("feat: rooms (US-007)", "rooms", ("US-007",)),
        ("feat: rooms (US-007, US-008) (#12)", "rooms (#12)", ("US-007", "US-008")),
        ("feat: [PROJ-12] rooms", "rooms", ("PROJ-12",)),
        ("feat: US-007: rooms", "rooms", ("US-007",)),
        ("feat(US-007): rooms", "rooms", ("US-007",)),
        ("feat: what US-007 asks for", "what US-007 asks for", ("US-007",)),
        ("feat: rooms\n\nRefs: US-007, US-008", "rooms", ("US-007", "US-008")),
        ("feat: rooms (US-007)\n\nrefs: US-007\nRefs: US-009", "rooms", ("US-007", "US-009")),
        ("feat: rooms\n\nRefs: US-007\n\nCo-authored-by: Zoë <z@example.org>", "rooms", ("US-007",)),
        ("fix: crash\n\nRefs: INC-001, #12, abcdef1", "crash", ()),
        ("feat: names in UTF-8 (UTF-8)", "names in UTF-8 (UTF-8)", ()),
        ("fix: an overflow (CVE-2026-1234)", "an overflow (CVE-2026-1234)", ()),
        ("feat: (US-007)", "(US-007)", ("US-007",)),
    ],
)
def test_stories_come_from_the_subject_and_from_refs(message: str, text: str, stories: tuple[str, ...]) -> None:
    assert (only(message).text, only(message).stories) == (text, stories)


def test_points_come_from_their_trailer() -> None:
    assert only("feat: x\n\nPoints: 3").points == 3
    assert only("feat: x\n\nPoints: 0.5\nRefs: US-1").points == 0.5
    assert only("feat: x\n\nPoints: many").points is None


def test_a_changelog_trailer_replaces_the_line_or_skips_it() -> None:
    assert only("feat: x\n\nChangelog: Said\n  better").note == "Said better"
    assert only("feat: x\n\nchangelog: SKIP").skip
    assert only("chore: x\n\nChangelog: Noticed after all").group == "Changed"


@pytest.mark.parametrize(
    ("message", "group", "reverts", "subject"),
    [
        ('Revert "feat: x"\n\nThis reverts commit 0123456789abcdef.', "Removed", ("0123456789abcdef",), "feat: x"),
        ('Revert "feat: x" (#12)', "Removed", (), "feat: x"),
        ('Revert "docs: x"', None, (), "docs: x"),
        ('Revert "Revert "feat: x""', "Added", (), 'Revert "feat: x"'),
        ('Reapply "feat: x"', "Added", (), 'Revert "feat: x"'),
        ("revert: feat: x\n\nRefs: 0123456, 89abcde", "Removed", ("0123456", "89abcde"), "feat: x"),
    ],
)
def test_a_revert_says_what_it_takes_back(
    message: str, group: str | None, reverts: tuple[str, ...], subject: str
) -> None:
    change = only(message)

    assert (change.group, change.reverts, change.reverts_subject) == (group, reverts, subject)
    assert "x" in change.text
    assert ":" not in change.text


@pytest.mark.parametrize(
    "message",
    [
        "Sprint 2 (#12)\n\n* feat: rooms\n* fix: crash\n* typo\n",
        "Sprint 2\n\n- feat: rooms\n\n  about rooms\n\n- fix: crash\n\n---------\n\nCo-authored-by: Z <z@example.org>",
        (
            "Squashed commit of the following:\n\ncommit 0123\nAuthor: Z\nDate: now\n\n    feat: rooms\n\n    text\n\n"
            "commit 4567\nAuthor: Z\n\n    fix: crash\n"
        ),
        "feat: rooms\n\nabout rooms\n\nfix: crash\n\nabout the crash",
        'feat: rooms (#12)\n\n* feat: rooms\n\n* fix: crash\n\n* Revert "fix: other"\n\n* fix: other\n'.replace(
            '* Revert "fix: other"\n\n* fix: other', '* fix: other\n\n* Revert "fix: other"'
        ),
    ],
)
def test_a_squash_body_is_split(message: str) -> None:
    assert [(group, text.removesuffix(" (#12)")) for group, text in lines(message)] == [
        ("Added", "rooms"),
        ("Fixed", "crash"),
    ]


def test_trailers_below_a_squash_are_the_whole_commits() -> None:
    message = "Sprint\n\n* feat: a\n* fix: b\n\nRefs: US-1\nPoints: 2"

    assert [change.stories for change in parse(message)] == [("US-1",), ("US-1",)]


def test_trailers_within_a_squash_are_their_parts() -> None:
    message = "feat: a\n\nRefs: US-1\n\nfix: b\n\nRefs: US-2"

    assert [change.stories for change in parse(message)] == [("US-1",), ("US-2",)]


def test_changelog_skip_below_a_squash_skips_all_of_it() -> None:
    assert all(change.skip for change in parse("Sprint\n\n* feat: a\n* fix: b\n\nChangelog: skip"))


@pytest.mark.parametrize(
    "body",
    [
        "Fix: look below\nmore",
        "* note: nothing",
        "like so\nfeat: not a paragraph",
        "    feat: an example in code",
        "  * feat: nested",
    ],
)
def test_prose_in_a_body_is_no_squash(body: str) -> None:
    assert lines(f"feat: rooms\n\n{body}") == [("Added", "rooms")]


def test_the_body_of_a_merge_is_not_split() -> None:
    message = "Merge branch 'rooms'\n\n* rooms:\n\nfeat: rooms\n\n* fix: crash"

    assert [change.group for change in parse(message, is_merge=True)] == [None]


WORDS = st.sampled_from(
    [
        "feat",
        "fix",
        "revert",
        "Revert ",
        "Reapply ",
        '"',
        "(",
        ")",
        "!",
        ":",
        ": ",
        "\n",
        "\n\n",
        "* ",
        "- ",
        "US-1",
        "US-",
        "Refs: ",
        "Points: ",
        "Changelog: ",
        "skip",
        "BREAKING CHANGE: ",
        "This reverts commit ",
        "0123456789abcdef",
        "Squashed commit of the following:",
        "    ",
        "\r\n",
        "\t",
        "☕️",
        "é",
        "\u2028",
        "\x1b[31m",
        "\x00",
        "#12",
        "[",
        "]",
    ]
)


@given(st.one_of(st.text(), st.lists(WORDS, max_size=30).map("".join)), st.booleans())
@example("Revert " * 200 + '"', False)
@example('Revert "' * 200 + '"' * 200, False)
@example("feat: " + "(" * 5000, False)
@example("feat: x\n\n" + "US-1 " * 2000, False)
def test_any_message_has_changes_of_one_clean_line_each(message: str, is_merge: bool) -> None:
    changes = parse(message, is_merge=is_merge)

    assert changes
    for change in changes:
        assert change.group is None or change.group in GROUPS
        for text in (change.text, change.note):
            assert not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", text)
            assert text == text.strip()
