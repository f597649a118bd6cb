"""The chat behind a plain systemd socket unit: one listening socket, no private one, and it serves at once."""

import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.conftest import lacking
from tests.opskit.deploy.shop import free_port, wait_for


def test_the_chat_serves_from_the_socket_that_systemd_hands_it(tmp_path: Path) -> None:
    if not shutil.which("systemd-socket-activate"):
        lacking("systemd-socket-activate is not here", install="apt-get install systemd")
    port = free_port()
    chat = str(Path(sys.executable).with_name("chat"))
    command = ["systemd-socket-activate", "-l", f"127.0.0.1:{port}", "--fdname=public"]
    settings = {"CHAT_DATA_DIR": str(tmp_path / "data"), "CHAT_DRAIN_S": "0", "HOME": str(tmp_path)}
    given = [part for name, value in settings.items() for part in ("-E", f"{name}={value}")]
    with subprocess.Popen(
        [*command, *given, chat, "serve"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ}
    ) as service:

        def ready() -> bool:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=30) as answer:
                    return bool(answer.status == 200)
            except OSError:
                return False

        try:
            wait_for(ready, within_s=30)
        finally:
            service.terminate()
        assert service.wait(30) == 0
