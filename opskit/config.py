"""The configuration, from `[tool.opskit]` of `pyproject.toml` or `opskit.toml`; every fault reported together."""

import difflib
import math
import os
import re
import shlex
import tomllib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

from opskit.deploy import freeze, placeholders, sockets
from opskit.errors import UsageFault

DRIVERS = ("host", "ssh")
REQUIREMENTS = ("tag", "ci", "approval")
COMMANDS = ("build", "smoke", "migrate", "schema", "backup", "restore")  # of a target, run by a shell


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """Commands run around a release and a deploy; "" = none."""

    pre_release: str = ""
    post_release: str = ""
    pre_deploy: str = ""
    post_deploy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ci:
    """The CI steps, run in this order in a clean checkout of the exact commit; "" = none."""

    build: str = ""
    tests: str = ""
    lint: str = ""
    security: str = ""

    @property
    def steps(self) -> tuple[tuple[str, str], ...]:
        """The configured steps as (name, command)."""
        named = (
            ("build", self.build),
            ("tests", self.tests),
            ("lint", self.lint),
            ("security", self.security),
        )
        return tuple((name, command) for name, command in named if command)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hotfix:
    """The limits of a hotfix and how its tests are run."""

    max_changed_lines: int = 30
    review_minutes: int = 30
    test_globs: tuple[str, ...] = ("tests/**", "test_*.py")
    test_command: str = "pytest -q {tests}"
    coverage_command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A place where the service runs. Times in seconds unless the name says otherwise."""

    driver: str = "host"
    bind: str = "127.0.0.1:8000"
    start: str = ""
    build: str = ""
    health: str = "/readyz"
    version_path: str = "/version"
    smoke: str = ""
    migrate: str = ""
    schema: str = ""
    backup: str = ""
    restore: str = ""
    env: Mapping[str, str] = field(default_factory=dict)
    require: tuple[str, ...] = ()
    ready_s: float = 30
    drain_s: float = 5
    bake_minutes: float = 0
    keep: int = 5
    state_dir: str = "~/.local/state/opskit/{project}/{target}"
    freeze: tuple[str, ...] = ()
    alerts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of `[tool.opskit]`, with its defaults."""

    main: str = "main"
    develop: str = "develop"
    remote: str = "origin"
    tag_prefix: str = "v"
    changelog: str = "CHANGELOG.md"
    version_files: tuple[str, ...] = ()
    hooks: Hooks = field(default_factory=Hooks)
    ci: Ci = field(default_factory=Ci)
    hotfix: Hotfix = field(default_factory=Hotfix)
    targets: Mapping[str, Target] = field(default_factory=dict)
    source: str = ""  # the file it came from, for messages; not a key

    @property
    def trunk(self) -> bool:
        """True if releases are cut from main and nothing is back-merged."""
        return not self.develop

    def target(self, name: str = "") -> tuple[str, Target]:
        """The target called *name*, or the only one; raises `UsageFault` naming what there is."""
        if name in self.targets:
            return name, self.targets[name]
        known = ", ".join(self.targets)
        where = self.source or "the configuration"
        if not self.targets:
            raise UsageFault(
                f"no target is configured in {where}",
                remedy="add [tool.opskit.targets.local]; `opskit init` shows how",
            )
        if name:
            raise UsageFault(f"no target {name!r} in {where}; there is {known}", remedy="use --target with one of them")
        if len(self.targets) > 1:
            raise UsageFault(f"{where} has several targets: {known}", remedy="say which with --target")
        return next(iter(self.targets.items()))


def load(directory: Path) -> Config:
    """Read the configuration of the repository at *directory*; without a file or section, the defaults.

    A linked work tree that has none (it stands on an older commit, or the file is not committed) has the main one's.
    Raises `UsageFault` with every fault and its path (`tool.opskit.targets.local.keep: …`).
    """
    found = _load(directory)
    if found is None and (main_tree := _main_tree(directory)):
        found = _load(main_tree)
    return found or Config()


def _load(directory: Path) -> Config | None:
    own, project = directory / "opskit.toml", directory / "pyproject.toml"
    if os.path.lexists(own):  # a link to nowhere or a folder is a mistake, and no reason to go on with the defaults
        tree = parse_toml(own)
        if set(tree) != {"tool"}:
            return from_mapping(tree, source=own.name)
        return _of_section(tree, own) or Config(source=own.name)  # with its full header it is understood too
    return _of_section(parse_toml(project), project) if project.is_file() else None


def _of_section(tree: Mapping[str, Any], file: Path) -> Config | None:
    """The configuration in `[tool.opskit]` of *tree*, None without that section."""
    section: Any = tree
    for name in ("tool", "opskit"):
        if not isinstance(section, dict) or name not in section:
            return None
        section = section[name]
    if not isinstance(section, dict):
        raise UsageFault(f"{file.name}: tool.opskit: must be a table, is {section!r}", remedy=f"mend {file}")
    return from_mapping(section, source=file.name, prefix="tool.opskit.")


def _main_tree(linked: Path) -> Path | None:
    """The main work tree of the linked work tree *linked*, by gitrepository-layout(5); None for any other directory."""
    try:
        private = linked / (linked / ".git").read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        common = (private / (private / "commondir").read_text(encoding="utf-8").strip()).resolve()
    except (OSError, UnicodeDecodeError):
        return None
    return common.parent if common.name == ".git" else None


def parse_toml(path: Path) -> dict[str, Any]:
    """The tree of a TOML file; raises `UsageFault` with file and place of a syntax error."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8").removeprefix("\ufeff"))
    except tomllib.TOMLDecodeError as fault:
        raise UsageFault(f"{path.name} is not valid TOML: {fault}", remedy=f"mend {path}") from fault
    except (UnicodeDecodeError, OSError) as fault:
        raise UsageFault(f"{path} cannot be read: {fault}", remedy="it must be a readable UTF-8 file") from fault


def from_mapping(tree: Mapping[str, Any], *, source: str = "", prefix: str = "") -> Config:
    """Build a `Config` of *tree*; raises `UsageFault` listing every fault with its path."""
    faults: list[str] = []
    config: Config = _read(Config, tree, prefix, faults)
    faults += _contradictions(config, prefix)
    if faults:
        listed = "\n  ".join(faults)
        raise UsageFault(
            f"{source or 'the configuration'} has {len(faults)} fault(s):\n  {listed}",
            remedy="mend these keys",
        )
    return _replace_source(config, source)


def _replace_source(config: Config, source: str) -> Config:
    values = {f.name: getattr(config, f.name) for f in fields(Config)}
    return Config(**{**values, "source": source})


def _contradictions(config: Config, prefix: str) -> list[str]:
    faults = [
        f"{prefix}{key}: {fault}"
        for key, name in (
            ("main", config.main),
            ("develop", config.develop),
            ("tag_prefix", f"{config.tag_prefix}1.0.0"),
        )
        if (name or key == "main") and (fault := _not_a_ref(name))
    ]
    if config.develop == config.main:
        faults.append(f'{prefix}develop: is {config.main!r} like main; for trunk mode say develop = ""')
    if config.remote.startswith("-") or re.search(r"\s", config.remote):
        faults.append(f"{prefix}remote: {config.remote!r} is no name of a remote")
    if config.changelog and (fault := _not_inside(config.changelog)):
        faults.append(f"{prefix}changelog: {fault}")
    for at, entry in enumerate(config.version_files):
        if fault := _not_a_version_file(entry):
            faults.append(f"{prefix}version_files[{at}]: {fault}")
    faults += _too_low(config.hotfix, f"{prefix}hotfix", {"max_changed_lines": 0, "review_minutes": 0})
    states: dict[str, str] = {}
    for name, target in config.targets.items():
        path = f"{prefix}targets.{name}"
        faults += _target_faults(name, target, path)
        other = states.setdefault(target.state_dir.replace("{target}", name), name)
        if other != name:
            faults.append(f"{path}.state_dir: {target.state_dir!r} is target {other}'s too; each needs its own")
    return faults


def _target_faults(name: str, target: Target, path: str) -> list[str]:
    faults = []
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        faults.append(f"{path}: {name!r} must be of letters, digits, '.', '_' and '-'; it names a directory")
    if target.driver not in DRIVERS:
        faults.append(f"{path}.driver: {target.driver!r} is none of {', '.join(DRIVERS)}")
    if not target.start:
        faults.append(f'{path}.start: is missing; say how the service starts, as in start = "chat serve"')
    faults += [
        f"{path}.{key}: {text!r} must begin with /"
        for key, text in (("health", target.health), ("version_path", target.version_path))
        if text and not text.startswith("/")
    ]
    if fault := _not_an_address(target.bind):
        faults.append(f"{path}.bind: {fault}")
    faults += [
        f"{path}.require[{at}]: {what!r} is none of {', '.join(REQUIREMENTS)}"
        for at, what in enumerate(target.require)
        if what not in REQUIREMENTS
    ]
    faults += [
        f"{path}.freeze[{at}]: {fault}" for at, text in enumerate(target.freeze) if (fault := _not_a_window(text))
    ]
    faults += _command_faults(target, path)
    return faults + _too_low(target, path, {"ready_s": 1, "drain_s": 0, "bake_minutes": 0, "keep": 1})


def _command_faults(target: Target, path: str) -> list[str]:
    """A command or a value of `env` that could never work."""
    faults = []
    try:
        shlex.split(target.start)
    except ValueError as fault:
        faults.append(f"{path}.start: {target.start!r} is no command: {fault}")
    texts = {key: getattr(target, key) for key in ("start", *COMMANDS)}
    texts |= {f"env.{name}": text for name, text in target.env.items()}
    faults += [
        f"{path}.env.{name}: {name!r} is no name of an environment variable"
        for name in target.env
        if not name or "=" in name or "\0" in name
    ]
    known = " ".join(f"{{{name}}}" for name in placeholders.NAMES)
    for key, text in texts.items():
        faults += [f"{path}.{key}: {{{one}}} is no placeholder; there is {known}" for one in placeholders.unknown(text)]
    return faults


def _too_low(part: object, path: str, least: Mapping[str, int]) -> list[str]:
    return [
        f"{path}.{key}: must be at least {bound}, is {getattr(part, key)}"
        for key, bound in least.items()
        if getattr(part, key) < bound
    ]


def _not_a_ref(name: str) -> str:
    """What keeps *name* from being a branch or tag, by the rules of git-check-ref-format(1); "" if nothing does."""
    bad = re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|^[-/]|/$|\.$|^@$|(?:^|/)\.|\.lock(?:/|$)", name)
    if not name:
        return "must not be empty"
    return f"{name!r} is no name git takes ({bad[0]!r})" if bad else ""


def _not_inside(path: str) -> str:
    if path.startswith("/") or ".." in path.split("/") or "\0" in path or path.endswith("/"):
        return f"{path!r} must be a file inside the repository, named from its top"
    if ".git" in path.lower().split("/"):
        return f"{path!r} is git's own"
    return ""


def _not_a_version_file(entry: str) -> str:
    name, colon, _ = entry.partition(":")
    whole = not colon and not name.lower().endswith((".toml", ".json"))  # a file that is nothing but a version
    if not name or not (colon or whole):
        return f"{entry!r} must be FILE:KEY, as in pyproject.toml:project.version"
    return _not_inside(name)


def _not_an_address(bind: str) -> str:
    try:
        sockets.parse_bind(bind)
    except ValueError as fault:
        return str(fault).removeprefix("bind: ")
    return ""


def _not_a_window(text: str) -> str:
    try:
        freeze.parse(text)
    except freeze.NotAWindow as fault:
        return str(fault)
    return ""


def _read(kind: type[Any], tree: Mapping[str, Any], path: str, faults: list[str]) -> Any:
    """Build dataclass *kind* of *tree*, appending what is wrong to *faults*; a faulty key keeps its default."""
    hints = typing.get_type_hints(kind)
    known = {f.name: f for f in fields(kind) if f.name != "source"}
    for name in sorted(tree.keys() - known.keys()):
        near = difflib.get_close_matches(name, known, n=1)
        faults.append(f"{path}{name}: is not a key" + (f"; did you mean {near[0]}?" if near else ""))
    values: dict[str, Any] = {}
    for name, spec in known.items():
        if name in tree:
            try:
                values[name] = _value(hints[name], tree[name], f"{path}{name}", faults)
            except _WrongType as fault:
                faults.append(str(fault))
        elif spec.default is MISSING and spec.default_factory is MISSING:
            faults.append(f"{path}{name}: is missing")
    return kind(**values)


class _WrongType(Exception):
    def __init__(self, path: str, wanted: str, value: object) -> None:
        super().__init__(f"{path}: must be {wanted}, is {value!r}")


def _value(hint: Any, value: Any, path: str, faults: list[str]) -> Any:
    if is_dataclass(hint):
        if not isinstance(value, dict):
            raise _WrongType(path, "a table", value)
        return _read(typing.cast("type[Any]", hint), value, f"{path}.", faults)
    origin = typing.get_origin(hint)
    if origin is tuple:
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise _WrongType(path, "a list of strings", value)
        return tuple(_value(str, item, path, faults) for item in value)
    if origin is not None and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise _WrongType(path, "a table", value)
        inner = typing.get_args(hint)[1]
        return types.MappingProxyType(
            {key: _value(inner, item, f"{path}.{key}", faults) for key, item in value.items()}
        )
    if isinstance(value, str) and "\0" in value:
        raise _WrongType(path, "without NUL", value)
    wanted = {str: "a string", int: "a whole number", float: "a finite number"}[hint]
    accepted = (int, float) if hint is float else (hint,)
    if isinstance(value, bool) or not isinstance(value, accepted) or (hint is float and not math.isfinite(value)):
        raise _WrongType(path, wanted, value)
    return value
