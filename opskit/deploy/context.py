"""What every step of a deploy or rollback works with: the target, its places, and how its commands are run."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from opskit.config import Config, Target, load
from opskit.deploy import commands, sockets
from opskit.deploy.layout import Layout, layout_of
from opskit.deploy.placeholders import fill
from opskit.deploy.releases import Built
from opskit.errors import UsageFault
from opskit.git.runner import Git
from opskit.report import Report


@dataclass(frozen=True, slots=True)
class Context:
    """One target of the repository that *git* stands in."""

    config: Config
    name: str
    target: Target
    layout: Layout
    git: Git
    report: Report

    @property
    def public_url(self) -> str:
        """The URL of `bind`."""
        return sockets.url_of_bind(self.target.bind)

    def values(self, built: Built, *, state_dir: Path | None = None) -> dict[str, str]:
        """What the placeholders stand for; *state_dir* puts another in the real one's place."""
        return {
            "url": self.public_url,
            "port": str(sockets.parse_bind(self.target.bind)[1]),
            "state_dir": str(state_dir or self.layout.state_dir),
            "release_dir": str(built.directory),
        }

    def filled(self, text: str, *, key: str, values: Mapping[str, str], quote: bool = False) -> str:
        """*text* with its placeholders filled; raises `UsageFault` with the key's path for one that there is not."""
        return fill(text, values, key=f"targets.{self.name}.{key}", quote=quote)

    def service_env(self, values: Mapping[str, str]) -> dict[str, str]:
        """The target's `env` with *values*."""
        return {name: self.filled(text, key=f"env.{name}", values=values) for name, text in self.target.env.items()}

    def command_env(self, built: Built, *, state_dir: Path | None = None) -> dict[str, str]:
        """What a command run for this release gets on top of the caller's environment."""
        environment = str(self.layout.environments / built.environment) if built.environment else ""
        return {
            **self.service_env(self.values(built, state_dir=state_dir)),
            "OPSKIT_TARGET": self.name,
            "OPSKIT_STATE_DIR": str(state_dir or self.layout.state_dir),
            "OPSKIT_RELEASE_DIR": str(built.directory),
            "OPSKIT_ENVIRONMENT_DIR": environment,
            "OPSKIT_VERSION": built.version,
            "OPSKIT_COMMIT": built.commit,
        }

    def run(
        self,
        key: str,
        built: Built,
        *,
        timeout_s: float,
        url: str = "",
        state_dir: Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> commands.Ran:
        """Run the target's command *key* (`build`, `smoke`, `migrate`, …) in the release's directory.

        `{url}` in it is *url*, the public one without.
        """
        values = self.values(built, state_dir=state_dir)
        values["url"] = url or values["url"]
        command = self.filled(getattr(self.target, key), key=key, values=values, quote=True)
        return commands.run(
            command,
            cwd=built.directory,
            env={**self.command_env(built, state_dir=state_dir), **(env or {})},
            log=self.log(key),
            timeout_s=timeout_s,
            path_prepend=(*release_path(built.directory, self.layout.environments / built.environment), own_bin()),
        )

    def log(self, key: str) -> Path:
        """Where the output of a command goes."""
        return self.layout.logs / f"{key}.log"


def open_context(report: Report, target: str = "", *, start: Path | None = None) -> Context:
    """The context of a target of the repository around *start*. Raises `UsageFault` without one, or a faulty config."""
    git = Git.discover(start or Path.cwd())
    config = load(git.directory)
    if not config.source:
        raise UsageFault(
            f"there is no configuration in {git.directory}: neither opskit.toml nor [tool.opskit] in pyproject.toml",
            remedy="opskit init writes one",
        )
    context = context_of(git, config, target, report)
    if context.target.driver != "host":
        raise UsageFault(
            f"targets.{context.name}.driver: {context.target.driver!r} cannot be operated by this opskit, only 'host'",
            remedy=f'run opskit on that machine, with driver = "host" for {context.name}',
        )
    return context


def context_of(git: Git, config: Config, target: str, report: Report) -> Context:
    """The context of a target of *config*; raises `UsageFault` if there is no such target."""
    name, chosen = config.target(target)
    return Context(config, name, chosen, layout_of(name, chosen, root=git.directory), git, report)


def release_path(release_dir: Path, environment: Path) -> tuple[str, ...]:
    """The directories with a release's own programs, before any others on PATH."""
    places = (
        release_dir / "bin",
        release_dir / ".venv" / "bin",
        release_dir / "node_modules" / ".bin",
        environment / "bin",
    )
    return tuple(str(place) for place in places if place.is_dir())


def own_bin() -> str:
    """The directory of the `opskit` and `python` that run this."""
    return str(Path(sys.executable).parent)


def now() -> str:
    """This moment, RFC 3339 in UTC with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
