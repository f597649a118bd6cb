"""Alerts: runs a release's `alert_command` with what happened on its stdin, without ever waiting for it."""

import json
import subprocess
import threading
from collections.abc import Mapping
from typing import Any

from opskit.deploy.control import LaunchSpec
from opskit.deploy.supervisor import process

_TIMEOUT_S = 60.0


def send(spec: LaunchSpec, message: Mapping[str, Any]) -> None:
    """Run the alert command in the background, in the release's environment; one that fails changes nothing."""
    if spec.alert_command:
        threading.Thread(target=_run, args=(spec, json.dumps(message, ensure_ascii=False)), daemon=True).start()


def _run(spec: LaunchSpec, message: str) -> None:
    try:
        env = {**process.base_environment(spec.path_prepend), **spec.env}
        argv = process.split(spec.alert_command)
        subprocess.run(argv, input=message, env=env, text=True, timeout=_TIMEOUT_S, check=False, cwd=spec.release.dir)
    except (OSError, ValueError, subprocess.SubprocessError) as fault:
        print(f"opskit: the alert could not be sent: {fault}", flush=True)
