"""The configured commands around a release."""

import tempfile
from pathlib import Path

from opskit.ci import run_command, tail
from opskit.errors import Bad
from opskit.git.runner import Git
from opskit.release.plan import Plan
from opskit.report import Step


def run_hook(git: Git, command: str, plan: Plan, shown: Step) -> None:
    """Run a hook in the main work tree; raises `Bad` with the end of what it printed if it fails.

    It gets OPSKIT_KIND, OPSKIT_VERSION, OPSKIT_TAG and OPSKIT_COMMIT.
    """
    if not command:
        shown.status = "skipped"
        return
    env = {
        "OPSKIT_KIND": str(plan.kind),
        "OPSKIT_VERSION": plan.version,
        "OPSKIT_TAG": plan.tag,
        "OPSKIT_COMMIT": plan.gate,
    }
    with tempfile.TemporaryDirectory(prefix="opskit-hook-") as scratch:
        log = Path(scratch, "log")
        code = run_command(command, git.directory, log=log, env=env)
        if code:
            raise Bad(f"the hook {command!r} failed with exit code {code}:\n{tail(log)}", remedy="see its output")
    shown.detail = command
