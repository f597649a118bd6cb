"""From a commit to a whole release directory: export its tree, run `build`, seal it."""

from dataclasses import replace

from opskit.deploy import environments, releases, source
from opskit.deploy.context import Context, now
from opskit.deploy.releases import Built
from opskit.deploy.source import Source
from opskit.errors import OpskitError

BUILD_TIMEOUT_S = 1800.0


class BuildFailed(OpskitError):
    """The build command did not end well; what it printed is in its log."""


def export(context: Context, wanted: Source) -> Built | None:
    """The release if it was built before; else unpack the commit's tree into its directory and return None."""
    directory = context.layout.releases / wanted.release
    built = releases.read(directory)
    if built is not None and built.commit == wanted.commit and _has_environment(context, built):
        return built
    releases.export(directory, lambda to: source.write_archive(context.git, wanted.commit, to))
    return None


def build(context: Context, wanted: Source) -> Built:
    """Run `build` in the exported tree and seal the release. Raises `BuildFailed`, the directory then removed."""
    directory = context.layout.releases / wanted.release
    environment = environments.environment_dir(context.layout.environments, directory)
    built = Built(directory, wanted.version, wanted.commit, environment.name, now())
    shared = False
    if context.target.build:
        environments.prepare(environment)
        ran = context.run("build", built, timeout_s=BUILD_TIMEOUT_S)
        if not ran.ok:
            releases.discard(directory)
            raise BuildFailed(f"build: {ran.ending}; the end of {ran.log}:\n{ran.tail()}")
        shared = environments.mark_ready(environment)
    return releases.seal(replace(built, environment=environment.name if shared else ""))


def _has_environment(context: Context, built: Built) -> bool:
    return not built.environment or environments.is_ready(context.layout.environments / built.environment)
