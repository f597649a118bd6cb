"""A release as a process of the target: how it is launched, and how it is checked on its sockets."""

from collections.abc import Callable
from pathlib import Path

from opskit.deploy import checks
from opskit.deploy.checks import Verdict
from opskit.deploy.context import Context, release_path
from opskit.deploy.control import Child, ChildState, Control, LaunchSpec, Release
from opskit.deploy.releases import Built

SMOKE_TIMEOUT_S = 120.0


def launch_spec(
    context: Context, built: Built, *, state_dir: Path | None = None, alert_command: str = ""
) -> LaunchSpec:
    """How the supervisor starts this release. `{port}` is left for its relay; *state_dir* replaces the target's."""
    environment = context.layout.environments / built.environment
    values = {**context.values(built, state_dir=state_dir), "port": "{port}"}
    return LaunchSpec(
        release=Release(str(built.directory), built.version, built.commit),
        command=context.filled(context.target.start, key="start", values=values),
        env=context.service_env(values),
        path_prepend=release_path(built.directory, environment),
        ready_s=context.target.ready_s,
        drain_s=context.target.drain_s,
        health=context.target.health,
        alert_command=alert_command,
    )


def check_health(context: Context, url: str, *, given_up: Callable[[], str]) -> Verdict:
    """Health at *url*, with retries."""
    return checks.persistently(lambda: checks.health(url, context.target.health), given_up=given_up)


def check_smoke(context: Context, built: Built, url: str, *, given_up: Callable[[], str]) -> Verdict:
    """The target's smoke command against *url*, with retries; health where none is configured."""
    if not context.target.smoke:
        return check_health(context, url, given_up=given_up)

    def attempt() -> Verdict:
        ran = context.run("smoke", built, timeout_s=SMOKE_TIMEOUT_S, url=url)
        last = ran.tail(lines=1000)
        saw = _last_line(last) if ran.ok else f"{checks.smoke_summary(last)} ({ran.ending})"
        return Verdict("smoke", ran.ok, saw.removeprefix("smoke: "))  # the step's name stands before it already

    return checks.persistently(attempt, given_up=given_up)


def check_version(context: Context, built: Built, url: str) -> Verdict:
    """What the service says it is must be what was deployed."""
    path = context.target.version_path
    return checks.persistently(
        lambda: checks.version(url, path, version=built.version, commit=built.commit), given_up=lambda: ""
    )


def died(control: Control, child: Child, *, public: bool) -> Callable[[], str]:
    """A question to ask after a check: has that child's process ended since? Answers in words, "" for no."""

    def ask() -> str:
        status = control.status()
        now = status.running if public else status.candidate
        if now is None or now.release != child.release:
            return f"the process {child.pid} is gone"
        if now.exits > child.exits or now.state in (ChildState.EXITED, ChildState.CRASH_LOOP):
            return f"the process {child.pid} ended ({now.last_exit or 'no reason seen'})"
        return ""

    return ask


def whose_fault(context: Context, built: Built, before: Child | None, *, verdict: Verdict) -> str:
    """A failure told apart: does the release that was running before fail the same check now?"""
    if before is None or before.state == ChildState.EXITED or not before.private_url or verdict.check == "version":
        return ""
    url = before.private_url
    if verdict.check == "health" or not context.target.smoke:
        ok = checks.health(url, context.target.health).ok
    else:
        ok = context.run("smoke", built, timeout_s=SMOKE_TIMEOUT_S, url=url).ok
    if ok:
        return f"{before.release.version} passes it at this moment, so the fault is the release's own"
    return f"{before.release.version} fails it too at this moment, so look at what both depend on"


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines and not lines[-1].startswith("$ ") else "passed"
