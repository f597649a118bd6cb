"""A first configuration: what a repository shows of its branches, tags, changelog, version and tools."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from opskit.git.refs import BRANCH, TAG, head_branch, read
from opskit.git.runner import Git

_TEMPLATE = """\
# How opskit releases, deploys and watches this repository. Every key but those of a target has the default shown or a
# value read off the repository; delete what you do not change. `opskit doctor` says what does not fit.

main = {main}                 # what production runs
develop = {develop}              # where work comes together; "" = trunk: releases are cut from main, no back-merge
remote = {remote}               # "" = local only
tag_prefix = {tag_prefix}           # v1.2.3
changelog = {changelog}      # "" = none
version_files = {version_files}  # FILE:KEY, as "pyproject.toml:project.version", "package.json:version", "VERSION:"

# Commands around a release and a deploy; "" = none.
hooks = {{ pre_release = "", post_release = "", pre_deploy = "", post_deploy = "" }}

# Run in this order, in a clean checkout of the exact commit, before anything is tagged. Each is optional.
[ci]
{ci}

[hotfix]
max_changed_lines = 30        # outside tests, changelog and version files
review_minutes = 30           # what an expedited review may take
test_globs = {test_globs}
test_command = {test_command}
coverage_command = ""         # prints the path of a Cobertura file; "" = Python's coverage around test_command

# Where the service runs. Take the comment signs away and fill it in.
# [targets.local]
# driver = "host"             # host | ssh
# bind = "127.0.0.1:8000"
# start = "my-service --port {{port}}"
# build = ""                  # run once per release directory
# health = "/readyz"          # 2xx = able to serve
# version_path = "/version"   # JSON with version and commit
# smoke = ""                  # "" = GET health
# require = []                # of "tag", "ci", "approval"
# bake_minutes = 0            # watched for so long after the cut-over
# keep = 5                    # releases kept
# freeze = []                 # e.g. "fri 16:00 - mon 08:00 Europe/Berlin"
"""


def propose(git: Git) -> str:
    """The text of an opskit.toml for the repository *git* runs in."""
    refs = read(git)
    branches = {ref.removeprefix(BRANCH) for ref in refs if ref.startswith(BRANCH)}
    remotes = git.lines("remote")
    remote = "origin" if "origin" in remotes or not remotes else remotes[0]
    branches |= {
        ref.removeprefix(f"refs/remotes/{remote}/") for ref in refs if ref.startswith(f"refs/remotes/{remote}/")
    }
    current = head_branch(git).removeprefix(BRANCH)
    main = _first(("main", "master", "trunk"), branches) or current or "main"
    top = git.directory
    commands, globs, tests = _tools(top)
    values: dict[str, Any] = {
        "main": main,
        "develop": _first(("develop", "dev", "development"), branches),
        "remote": remote if remotes else "",
        "tag_prefix": _tag_prefix([ref.removeprefix(TAG) for ref in refs if ref.startswith(TAG)]),
        "changelog": _first(("CHANGELOG.md", "CHANGES.md", "HISTORY.md"), {p.name for p in top.iterdir()})
        or "CHANGELOG.md",
        "version_files": _version_files(top),
        "test_globs": globs,
        "test_command": tests,
    }
    shown = {name: json.dumps(value, ensure_ascii=False) for name, value in values.items()}
    ci = "\n".join(
        f"{name} = {json.dumps(commands[name])}" if name in commands else f'# {name} = ""'
        for name in ("build", "tests", "lint", "security")
    )
    return _TEMPLATE.format(ci=ci, **shown)


def _first(wanted: tuple[str, ...], there: set[str]) -> str:
    return next((name for name in wanted if name in there), "")


def _tag_prefix(tags: list[str]) -> str:
    """What stands before the version in most tags that end in one."""
    found = [match[1] for tag in tags if (match := re.fullmatch(r"(\D*?)\d+\.\d+\.\d+.*", tag))]
    return max(sorted(set(found)), key=found.count) if found else "v"


def _version_files(top: Path) -> list[str]:
    found = []
    project = _toml(top / "pyproject.toml").get("project", {})
    if isinstance(project.get("version"), str):
        found.append("pyproject.toml:project.version")
    if isinstance(_toml(top / "Cargo.toml").get("package", {}).get("version"), str):
        found.append("Cargo.toml:package.version")
    if isinstance(_json(top / "package.json").get("version"), str):
        found.append("package.json:version")
    version = top / "VERSION"
    if version.is_file() and re.match(r"\s*v?\d+\.\d+", version.read_text(encoding="utf-8", errors="replace")):
        found.append("VERSION:")
    return found


def _tools(top: Path) -> tuple[dict[str, str], list[str], str]:
    """CI commands by step, globs of test files, and the command that runs some of them."""
    targets = _make_targets(top / "Makefile")
    commands = {step: f"make {name}" for step, names in _MAKE.items() for name in names[::-1] if name in targets}
    if (top / "package.json").is_file():
        if "test" in _json(top / "package.json").get("scripts", {}):
            commands.setdefault("tests", "npm test")
        return commands, ["test/**", "tests/**", "*.test.*", "*.spec.*"], "npm test -- {tests}"
    if (top / "Cargo.toml").is_file():
        commands.setdefault("tests", "cargo test")
        return commands, ["tests/**"], "cargo test"
    if (top / "go.mod").is_file():
        commands.setdefault("tests", "go test ./...")
        return commands, ["*_test.go"], "go test ./..."
    if (top / "pyproject.toml").is_file() and (top / "tests").is_dir():
        commands.setdefault("tests", "pytest -q")
    return commands, ["tests/**", "test_*.py"], "pytest -q {tests}"


_MAKE = {"build": ("build",), "tests": ("test", "tests"), "lint": ("check", "lint"), "security": ("security", "audit")}


def _make_targets(makefile: Path) -> set[str]:
    if not makefile.is_file():
        return set()
    return set(re.findall(r"(?m)^([\w-]+)\s*:(?!=)", makefile.read_text(encoding="utf-8", errors="replace")))


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _json(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
