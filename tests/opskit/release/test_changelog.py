"""Writing into a CHANGELOG file changes the section concerned and no other byte."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opskit.errors import UsageFault
from opskit.release import document
from opskit.release.changelog import Entry, Section, insert_release, write_section

DAY = date(2026, 11, 23)
ROOMS = Entry("Räume mit ☕", "a" * 40, ("US-007",))
CRASH = Entry("Crash on join", "b" * 40)
DROPPED = Entry("Drop the old API", "c" * 40, breaking=True)


def notes(version: str = "1.1.0", **groups: tuple[Entry, ...]) -> Section:
    return Section(version, None if version == "Unreleased" else DAY, groups)


ODD = """\
\ufeff# Журнал   изменений #

Text with [a link][un], trailing blanks   \u0020
\t- and an odd list

```markdown
## [Unreleased]
## [9.9.9] - 2020-01-01
```
<!--
## [8.8.8]
-->

##  [Unreleased]  ##

### Added

* by hand — «ё»
  continued
    - nested
    * nested too

## [1.0.0] - 2026-01-01
### Fixed
* no empty line here


*   odd bullets



## 0.9.0 / 2025-12-31
Free text, no groups.
\t
[un]: https://example.org/compare/1.0.0...HEAD
[1.0.0]: https://example.org/tag/1.0.0"""

ODD_RELEASED = """\
##  [Unreleased]  ##

## [1.1.0] - 2026-11-23

### Added

* by hand — «ё»
  continued
    - nested
    * nested too
* Räume mit ☕ (US-007)

### Fixed

* Crash on join

"""


@pytest.mark.parametrize("eol", ["\n", "\r\n"])
def test_of_an_oddly_written_file_only_the_section_concerned_changes(eol: str) -> None:
    before = ODD.replace("\n", eol).encode()

    after = insert_release(before, notes(Added=(ROOMS,), Fixed=(CRASH,)))

    start, rest = before.split(b"##  [Unreleased]  ##")
    end = rest[rest.index(b"## [1.0.0]") :]
    assert after.startswith(start)
    assert after.endswith(end)
    middle = after[len(start) : len(after) - len(end)].decode()
    assert middle.replace(eol, "\n") == ODD_RELEASED
    assert ("\n" not in middle.replace("\r\n", "")) == (eol == "\r\n")


def test_bytes_that_are_no_utf8_stay() -> None:
    before = b"# Caf\xe9\n\n## [1.0.0]\n\n- na\xefve \x80\n"

    after = insert_release(before, notes(Fixed=(CRASH,)))

    assert after.replace(b"## [1.1.0] - 2026-11-23\n\n### Fixed\n\n- Crash on join\n\n", b"") == before


def test_a_missing_file_gets_a_title_and_an_empty_unreleased() -> None:
    after = insert_release(b"", notes(Added=(ROOMS,))).decode()

    assert after.startswith("# Changelog\n")
    assert after.endswith("## [Unreleased]\n\n## [1.1.0] - 2026-11-23\n\n### Added\n\n- Räume mit ☕ (US-007)\n")


def test_utf16_is_refused_with_the_remedy() -> None:
    with pytest.raises(UsageFault, match="UTF-16"):
        insert_release("# Changelog".encode("utf-16"), notes())


def test_a_file_without_line_break_at_its_end_gets_one_where_it_is_needed() -> None:
    assert insert_release(b"# Changes", notes(Fixed=(CRASH,))) == (
        b"# Changes\n\n## [1.1.0] - 2026-11-23\n\n### Fixed\n\n- Crash on join\n"
    )


def test_what_stood_under_unreleased_moves_and_is_not_repeated() -> None:
    before = (
        b"# C\n\n## [Unreleased]\n\nA word first.\n\n### Added\n\n### Fixed\n\n"
        b"- Crash on join\n- by hand\n\n## [1.0.0] - 2026-01-01\n"
    )

    after = insert_release(before, notes(Added=(ROOMS,), Fixed=(CRASH,))).decode()

    assert after == (
        "# C\n\n## [Unreleased]\n\n## [1.1.0] - 2026-11-23\n\nA word first.\n\n### Added\n\n- Räume mit ☕ (US-007)\n\n"
        "### Fixed\n\n- Crash on join\n- by hand\n\n## [1.0.0] - 2026-01-01\n"
    )


def test_breaking_lines_stand_first_in_their_group() -> None:
    before = b"## [Unreleased]\n\n### Changed\n\n- by hand\n"

    after = insert_release(before, notes(Changed=(DROPPED, CRASH)))

    assert b"### Changed\n\n- **Breaking:** Drop the old API\n- by hand\n- Crash on join\n" in after


def test_a_group_is_put_in_the_order_of_keep_a_changelog() -> None:
    before = b"## [Unreleased]\n\n### Added\n\n- x\n\n### Fixed\n\n- y\n"

    after = write_section(before, notes("Unreleased", Removed=(CRASH,)))

    assert after == b"## [Unreleased]\n\n### Added\n\n- x\n\n### Removed\n\n- Crash on join\n\n### Fixed\n\n- y\n"


def test_writing_twice_is_writing_once() -> None:
    once = write_section(ODD.encode(), notes("Unreleased", Added=(ROOMS, DROPPED), Security=(CRASH,)))

    assert write_section(once, notes("Unreleased", Added=(ROOMS, DROPPED), Security=(CRASH,))) == once


def test_an_old_release_takes_its_place_by_version_and_leaves_unreleased_alone() -> None:
    before = b"## [Unreleased]\n\n- mine\n\n## [2.0.0]\n\n## [1.0.0]\n\n- x\n"

    after = write_section(before, notes("1.5.0", Fixed=(CRASH,)))

    assert after == (
        b"## [Unreleased]\n\n- mine\n\n## [2.0.0]\n\n## [1.5.0] - 2026-11-23\n\n### Fixed\n\n- Crash on join\n\n"
        b"## [1.0.0]\n\n- x\n"
    )


def test_a_section_that_exists_is_completed_where_it_is() -> None:
    before = (
        b"## [Unreleased]\n\n- mine\n\n## [1.1.0] - 2026-11-20\n\n### Fixed\n\n- told better by hand\n\n## [1.0.0]\n"
    )

    after = insert_release(before, notes("1.1.0", Fixed=(CRASH,)))

    assert after == before.replace(b"by hand\n", b"by hand\n- Crash on join\n")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("## [1.0.0] - 2026-01-01", "## [1.1.0] - 2026-11-23"),
        ("## 1.0.0 (2026-01-01)", "## 1.1.0 (2026-11-23)"),
        ("## v1.0.0 – 2026-01-01", "## v1.1.0 – 2026-11-23"),
        ("# [v1.0.0](https://example.org/x) (2026-01-01)", "# [v1.1.0] (2026-11-23)"),
        ("### Version 1.0.0", "### Version 1.1.0 - 2026-11-23"),
        ("1.0.0 / 2026-01-01\n------------------", "## 1.1.0 / 2026-11-23"),
    ],
)
def test_the_heading_is_written_as_the_file_writes_its_headings(old: str, new: str) -> None:
    before = f"Changes\n\n{old}\n\n* x\n"

    after = insert_release(before.encode(), notes(Fixed=(CRASH,))).decode()

    level = "#" * (len(new) - len(new.lstrip("#")) + 1)
    assert after == f"Changes\n\n{new}\n\n{level} Fixed\n\n* Crash on join\n\n{old}\n\n* x\n"


def test_links_at_the_foot_stay_at_the_foot() -> None:
    before = b"# C\n\n## [Unreleased]\n\n[Unreleased]: https://example.org/a...b\n[1.0.0]: https://example.org/c\n"

    after = insert_release(before, notes(Fixed=(CRASH,)))

    assert after.endswith(
        b"- Crash on join\n\n[Unreleased]: https://example.org/a...b\n[1.0.0]: https://example.org/c\n"
    )


PIECES = """# T|## [Unreleased]|## 1.0.0|## [0.9.0] - 2020-01-01|### Added|### Fixed|- a|  - b|* c|text|```|<!--|-->
[x]: y|1.0|é ☕|---|    - d|\t|#|- Crash on join|"""
LINES = st.sampled_from(PIECES.replace("\n", "|").split("|"))


@given(st.lists(LINES, max_size=30), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_file_survives_reading_and_only_gains_lines(lines: list[str], eol: str, broken: bool) -> None:
    content = (eol.join(lines) + (eol if broken else "")).encode()

    assert document.read(content).to_bytes() == content
    after = write_section(content, notes("Unreleased", Fixed=(CRASH,)))
    assert b"- Crash on join" in after or b"* Crash on join" in after
    rest = iter(after.splitlines())
    assert all(line in rest for line in content.splitlines() if line.strip())
    assert write_section(after, notes("Unreleased", Fixed=(CRASH,))) == after
