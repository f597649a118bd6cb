"""Where a target keeps its things: one directory, and the names in it."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

from opskit.config import Target
from opskit.deploy.placeholders import fill
from opskit.errors import Refused, UsageFault

DEFAULT_STATE_DIR = Target.__dataclass_fields__["state_dir"].default


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths below a target's `state_dir`."""

    state_dir: Path

    @property
    def releases(self) -> Path:
        return self.state_dir / "releases"

    @property
    def environments(self) -> Path:
        return self.state_dir / "environments"

    @property
    def scratch(self) -> Path:
        return self.state_dir / "scratch"

    @property
    def backups(self) -> Path:
        return self.state_dir / "backups"

    @property
    def logs(self) -> Path:
        return self.state_dir / "logs"

    @property
    def history(self) -> Path:
        return self.state_dir / "history.jsonl"

    @property
    def operation(self) -> Path:
        return self.state_dir / "operation.jsonl"

    @property
    def schemas(self) -> Path:
        return self.state_dir / "schemas.json"

    @property
    def lock(self) -> Path:
        return self.state_dir / "lock.json"

    def make(self) -> None:
        """Create the directories, private to the user; raises `Refused` where that is not permitted."""
        try:
            for path in (self.state_dir, self.releases, self.environments, self.logs):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as fault:
            raise Refused(
                f"the state directory {self.state_dir} cannot be made: {fault.strerror}",
                remedy="make it writable for this user, or set state_dir of the target to another place",
            ) from fault
        if not os.access(self.state_dir, os.W_OK | os.X_OK):
            raise Refused(
                f"the state directory {self.state_dir} is not writable for this user",
                remedy=f"run as its owner, or: chown -R $(id -un) {self.state_dir}",
            )


def layout_of(target_name: str, target: Target, *, root: Path) -> Layout:
    """The layout of a target of the repository whose work tree is *root*.

    `{project}` is `project.name` of its `pyproject.toml`, else the directory's name; the default place follows
    `XDG_STATE_HOME` (XDG Base Directory 0.8). Raises `UsageFault` for a relative path.
    """
    values = {"project": project_name(root), "target": target_name}
    text = fill(target.state_dir, values, key=f"targets.{target_name}.state_dir")
    home = os.environ.get("XDG_STATE_HOME", "")
    if target.state_dir == DEFAULT_STATE_DIR and Path(home).is_absolute():
        text = text.replace("~/.local/state", home, 1)
    path = Path(text).expanduser()
    if not path.is_absolute():
        raise UsageFault(
            f"targets.{target_name}.state_dir: {target.state_dir!r} is not absolute",
            remedy="begin it with / or ~/",
        )
    return Layout(path)


def project_name(root: Path) -> str:
    """What `{project}` stands for; safe as one part of a path."""
    name = ""
    try:
        tree = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
        name = str(tree.get("project", {}).get("name", ""))
    except (OSError, ValueError, AttributeError):
        pass  # no such file, or not ours to judge here: the directory's name will do
    return (name or root.name).replace("/", "-").strip(".") or "project"
