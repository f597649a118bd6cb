"""A back-merge settles the changelog by its structure: released sections from main, Unreleased from develop."""

from datetime import date

import pytest

from opskit.release.changelog import Entry, Section, Unsettled, insert_release, merge

HEAD = "# Änderungen\n\nIntro.\n\n"
UNRELEASED = "## [Unreleased]\n\n"
ONE = "## [1.0.0] - 2026-01-01\n\n### Added\n\n- Rooms\n\n"
FIX = "## [1.0.1] - 2026-02-02\n\n### Fixed\n\n- Café rooms crash ☕\n\n"
FOOT = "[1.0.0]: https://example.org/1.0.0\n"


def merged(main: str, develop: str, base: str) -> str:
    return merge(main.encode(), develop.encode(), base.encode()).decode()


def test_a_hotfix_arrives_below_the_unreleased_lines_of_develop() -> None:
    base = HEAD + UNRELEASED + ONE + FOOT
    main = HEAD + UNRELEASED + FIX + ONE + FOOT
    develop = HEAD + UNRELEASED + "### Added\n\n- Reactions\n\n" + ONE + FOOT

    assert merged(main, develop, base) == HEAD + UNRELEASED + "### Added\n\n- Reactions\n\n" + FIX + ONE + FOOT


def test_lines_that_main_has_released_leave_unreleased() -> None:
    base = HEAD + UNRELEASED + "### Added\n\n- Reactions\n  - nested\n\n### Fixed\n\n- Crash\n\n" + ONE
    released = "## [1.1.0] - 2026-03-03\n\n### Added\n\n- Reactions\n  - nested\n\n### Fixed\n\n- Crash\n\n"
    main = HEAD + UNRELEASED + released + ONE
    develop = HEAD + UNRELEASED + "### Added\n\n- Reactions\n  - nested\n- Later\n\n### Fixed\n\n- Crash\n\n" + ONE

    assert merged(main, develop, base) == HEAD + UNRELEASED + "### Added\n\n- Later\n\n" + released + ONE


def test_unreleased_is_empty_if_main_released_all_of_it() -> None:
    entry = Entry("Reactions", "a" * 40)
    base = (HEAD + UNRELEASED + "### Added\n\n- Reactions\n\n" + ONE).encode()
    main = insert_release(base, Section("1.1.0", date(2026, 3, 3), {"Added": (entry,)}))

    assert merge(main, base, base) == main


def test_a_line_only_main_has_under_unreleased_is_kept() -> None:
    base = HEAD + UNRELEASED + ONE
    main = HEAD + UNRELEASED + "### Fixed\n\n- Noted on main\n\n" + ONE
    develop = HEAD + UNRELEASED + "### Added\n\n- Noted on develop\n\n" + ONE

    assert merged(main, develop, base) == (
        HEAD + UNRELEASED + "### Added\n\n- Noted on develop\n\n### Fixed\n\n- Noted on main\n\n" + ONE
    )


def test_a_released_section_changed_on_both_sides_is_mains() -> None:
    base = HEAD + UNRELEASED + ONE
    main, develop = base.replace("- Rooms", "- Rooms (main)"), base.replace("- Rooms", "- Rooms (develop)")

    assert merged(main, develop, base) == main
    assert merged(base, develop, base) == develop


def test_links_and_title_come_from_the_side_that_changed_them() -> None:
    base = HEAD + UNRELEASED + ONE + FOOT
    main = HEAD + UNRELEASED + FIX + ONE + "[1.0.1]: https://example.org/1.0.1\n" + FOOT
    develop = base.replace("Intro.", "Better intro.") + "[more]: https://example.org/more\n"

    after = merged(main, develop, base)

    assert after.startswith(HEAD.replace("Intro.", "Better intro."))
    assert after.endswith(FOOT + "[more]: https://example.org/more\n[1.0.1]: https://example.org/1.0.1\n")


def test_a_section_only_develop_has_stays_in_its_place_by_version() -> None:
    base = HEAD + UNRELEASED + ONE
    main = HEAD + UNRELEASED + FIX + ONE
    old = "## [0.9.0] - 2025-01-01\n\n- Written later\n"

    assert merged(main, HEAD + UNRELEASED + ONE + old, base) == HEAD + UNRELEASED + FIX + ONE + old


def test_line_breaks_and_byte_order_mark_are_those_of_develop() -> None:
    base = HEAD + UNRELEASED + ONE
    main = HEAD + UNRELEASED + FIX + ONE
    develop = "\ufeff" + (HEAD + UNRELEASED + "- Ё\n\n" + ONE).replace("\n", "\r\n")

    assert merged(main, develop, base) == "\ufeff" + (HEAD + UNRELEASED + "- Ё\n\n" + FIX + ONE).replace("\n", "\r\n")


def test_sections_that_met_the_end_of_the_file_are_set_apart() -> None:
    base, main, develop = "# C\n", "# C\n\n## [1.0.0]\n\n- x", "# C\n\n## [Unreleased]\n\n- y"

    assert merged(main, develop, base) == "# C\n\n## [Unreleased]\n\n- y\n\n## [1.0.0]\n\n- x"


def test_files_without_any_section_are_left_to_a_person() -> None:
    with pytest.raises(Unsettled, match="no section of any version"):
        merged("# a\n", "# b\n", "# c\n")


def test_a_file_that_one_side_alone_changed_is_that_sides() -> None:
    assert merged("# a\n", "# b\n", "# b\n") == "# a\n"
    assert merged("# a\n", "# b\n", "# a\n") == "# b\n"
