"""`target install`: the unit is one that systemd accepts, the crontab line is put in once and taken out again."""

import shutil
import subprocess
from pathlib import Path

import pytest

from opskit.deploy import survive
from opskit.deploy.context import Context, open_context
from opskit.deploy.survive import Way
from opskit.report import Report
from tests.conftest import lacking
from tests.opskit.deploy.shop import Shop

CRONTAB = """\
#!/bin/sh
case "$1" in
  -l) cat "$0.table" 2>/dev/null ;;
  -) cat > "$0.table" ;;
esac
"""


@pytest.fixture
def context(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Context:
    monkeypatch.setenv("HOME", str(shop.home))
    return open_context(Report(), start=shop.path)


def test_systemd_accepts_the_unit(context: Context, tmp_path: Path) -> None:
    if not shutil.which("systemd-analyze"):
        lacking("systemd-analyze is not here", install="apt-get install systemd")
    survival = survive.planned(context, way=Way.SYSTEMD)
    unit = tmp_path / Path(survival.where).name
    unit.write_text(survival.text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, check=False
    )
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert complaints == []


def test_a_path_with_spaces_percents_and_dollars_stays_one_word() -> None:
    text = survive.unit_text(
        description="50 % off", directory=Path("/a b"), start='"/a b/x%%y$$z"', stop="true", user_unit=True
    )
    assert "Description=50 %% off" in text
    assert "WantedBy=default.target" in text


def test_the_crontab_line_is_put_in_once_and_taken_out(
    context: Context, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "crontab").write_text(CRONTAB)
    (folder / "crontab").chmod(0o755)
    (folder / "crontab.table").write_text("0 4 * * * theirs\n")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    survival = survive.planned(context, way=Way.CRON)
    for _ in range(2):
        survive.install(context, survival)
    lines = (folder / "crontab.table").read_text().splitlines()
    assert lines[0] == "0 4 * * * theirs"
    assert len(lines) == 2
    assert lines[1].startswith("@reboot cd ")
    assert survive.installed(context) == "crontab"
    assert survive.uninstall(context) == ["crontab line"]
    assert (folder / "crontab.table").read_text() == "0 4 * * * theirs\n"


def test_the_installed_command_starts_the_target(running: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(running.home))
    survival = survive.planned(open_context(Report(), start=running.path), way=Way.CRON)
    assert running.opskit("stop").code == 0
    command = survival.text.removeprefix("@reboot ").partition(" >/dev/null")[0]
    subprocess.run(["/bin/sh", "-c", command], env=running.call_env, check=True, capture_output=True)
    assert running.serves == "1.0.0"
