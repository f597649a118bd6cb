"""The configuration's faults: each with the path of its key, all of them together, in an order that stays."""

from pathlib import Path

import pytest

from opskit.config import Config, from_mapping, load
from opskit.errors import UsageFault
from tests.opskit.repos import Repos

_TARGET = {"start": "serve"}


@pytest.mark.parametrize(
    ("tree", "path"),
    [
        ({"mian": "x"}, "mian"),
        ({"main": ""}, "main"),
        ({"main": 3}, "main"),
        ({"main": "a b"}, "main"),
        ({"develop": "main"}, "develop"),
        ({"develop": "dev..x"}, "develop"),
        ({"tag_prefix": "v 1"}, "tag_prefix"),
        ({"tag_prefix": "-"}, "tag_prefix"),
        ({"remote": "--upload-pack=x"}, "remote"),
        ({"changelog": "../CHANGELOG.md"}, "changelog"),
        ({"changelog": "sub/.Git/hooks/x"}, "changelog"),
        ({"version_files": ["pyproject.toml"]}, "version_files[0]"),
        ({"version_files": ["a.json:version", "/etc/x:version"]}, "version_files[1]"),
        ({"version_files": [":version"]}, "version_files[0]"),
        ({"hooks": {"pre": "x"}}, "hooks.pre"),
        ({"ci": {"test": "x"}}, "ci.test"),
        ({"hotfix": {"max_changed_lines": -1}}, "hotfix.max_changed_lines"),
        ({"hotfix": {"review_minutes": "x"}}, "hotfix.review_minutes"),
        ({"targets": {"a/b": _TARGET}}, "targets.a/b"),
        ({"targets": {"local": {**_TARGET, "bind": "nonsense"}}}, "targets.local.bind"),
        ({"targets": {"local": {**_TARGET, "bind": "127.0.0.1:70000"}}}, "targets.local.bind"),
        ({"targets": {"local": {**_TARGET, "health": "readyz"}}}, "targets.local.health"),
        ({"targets": {"local": {**_TARGET, "keep": 0}}}, "targets.local.keep"),
        ({"targets": {"local": {**_TARGET, "env": {"A": 1}}}}, "targets.local.env.A"),
        ({"targets": {"local": {}}}, "targets.local.start"),
        ({"targets": {"local": {**_TARGET, "ready_s": float("nan")}}}, "targets.local.ready_s"),
        ({"targets": {"local": {**_TARGET, "env": {"A=B": "x"}}}}, "targets.local.env.A=B"),
        (
            {"targets": {"a": {**_TARGET, "state_dir": "/s"}, "b": {**_TARGET, "state_dir": "/s"}}},
            "targets.b.state_dir",
        ),
        ({"ci": {"tests": "a\0b"}}, "ci.tests"),
        ({"hotfix": {"test_globs": ["a\0b"]}}, "hotfix.test_globs"),
    ],
)
def test_a_fault_is_told_with_the_path_of_its_key(tree: dict[str, object], path: str) -> None:
    with pytest.raises(UsageFault, match=r"has 1 fault\(s\)") as caught:
        from_mapping(tree, source="pyproject.toml", prefix="tool.opskit.")
    assert f"\n  tool.opskit.{path}: " in str(caught.value)


def test_all_faults_are_told_together_always_in_the_same_order() -> None:
    tree = {**{f"unknown{n}": n for n in range(9)}, "main": 3, "ci": {"build": 4}, "targets": {"x": {"keep": 0}}}
    with pytest.raises(UsageFault) as caught:
        from_mapping(tree)
    told = [line.split(":")[0].strip() for line in str(caught.value).splitlines()[1:]]
    unknown = [f"unknown{n}" for n in range(9)]
    assert told == [*unknown, "main", "ci.build", "targets.x.start", "targets.x.keep"]


@pytest.mark.parametrize(
    "tree",
    [
        {"develop": ""},
        {"remote": ""},
        {"tag_prefix": ""},
        {"tag_prefix": "chat/v"},
        {"changelog": ""},
        {"version_files": ["VERSION", "VERSION:", "sub/package.json:version"]},
        {"targets": {"local": {**_TARGET, "bind": ":8000", "version_path": ""}}},
        {"targets": {"eu-1.b": {**_TARGET, "bind": "[::1]:8000"}}},
    ],
)
def test_what_is_meant_to_work_is_no_fault(tree: dict[str, object]) -> None:
    from_mapping(tree)


@pytest.mark.parametrize("header", ["", "[tool.opskit]\n"])
def test_opskit_toml_is_read_with_or_without_its_section_and_with_a_byte_order_mark(
    tmp_path: Path, header: str
) -> None:
    (tmp_path / "opskit.toml").write_bytes(b"\xef\xbb\xbf" + f'{header}main = "trunk"\n'.encode())
    assert load(tmp_path).main == "trunk"


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert load(tmp_path) == Config()


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_a_configuration_that_is_there_and_no_file_is_not_passed_over(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "opskit.toml"
    place.mkdir() if kind == "folder" else place.symlink_to("nowhere.toml")
    with pytest.raises(UsageFault, match=r"opskit\.toml cannot be read"):
        load(tmp_path)


def test_a_section_that_is_no_table_is_a_fault_and_another_tools_is_none(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[tool]\nopskit = 3\n")
    with pytest.raises(UsageFault, match=r"tool\.opskit: must be a table"):
        load(tmp_path)
    (tmp_path / "pyproject.toml").write_text("tool = 3\n")
    assert load(tmp_path).source == ""


def test_a_linked_work_tree_without_a_configuration_has_the_main_ones(repos: Repos) -> None:
    here = repos.empty()
    here.commit("feat: a")
    here.git("worktree", "add", "-q", str(repos.folder / "linked"))
    here.write("opskit.toml", 'main = "trunk"\n')
    assert load(repos.folder / "linked").main == "trunk"
    (repos.folder / "linked" / "opskit.toml").write_text('main = "mine"\n')
    assert load(repos.folder / "linked").main == "mine"
