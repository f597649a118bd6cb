"""Release directories, shared environments, and what retention keeps."""

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from opskit.deploy import environments, releases
from opskit.deploy.releases import Built


def archive_of(files: dict[str, str]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, text in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            tar.addfile(info, io.BytesIO(text.encode()))
    return raw.getvalue()


def writes(files: dict[str, str]) -> Callable[[Path], None]:
    def write_archive(to: Path) -> None:
        to.write_bytes(archive_of(files))

    return write_archive


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()]


def built(name: str, at: int, root: Path = Path("/r")) -> Built:
    return Built(root / name, name, "c" * 40, "", f"2026-01-01T00:00:{at:02}")


def test_a_release_is_named_after_version_and_commit() -> None:
    assert releases.release_name("1.2.3-rc.1", "0123456789abcdef" * 2) == "1.2.3-rc.1-0123456789ab"
    assert releases.release_name("odd/tag v1", "0123456789abcdef" * 2) == "odd-tag-v1-0123456789ab"


def test_an_export_is_not_a_release_before_it_is_sealed(tmp_path: Path) -> None:
    directory = tmp_path / "1.0.0-abc"
    releases.export(directory, writes({"a.txt": "hej"}))
    assert (directory / "a.txt").read_text() == "hej"
    assert releases.read(directory) is None
    releases.seal(Built(directory, "1.0.0", "c" * 40, "env", "2026-01-01T00:00:00"))
    assert releases.all_built(tmp_path) == [Built(directory, "1.0.0", "c" * 40, "env", "2026-01-01T00:00:00")]
    assert (directory / "a.txt").stat().st_mode & 0o222 == 0
    assert names(tmp_path) == ["1.0.0-abc"]


def test_an_export_replaces_what_was_left_half_done(tmp_path: Path) -> None:
    directory = tmp_path / "1.0.0-abc"
    directory.mkdir()
    (directory / "left").touch()
    releases.export(directory, writes({"a": ""}))
    assert names(directory) == ["a"]


def test_an_archive_cannot_write_outside_its_release(tmp_path: Path) -> None:
    with pytest.raises(tarfile.FilterError):
        releases.export(tmp_path / "r", writes({"../evil": "x"}))
    assert not (tmp_path / "evil").exists()


def test_retention_keeps_the_last_in_service_and_never_retires_one_in_use() -> None:
    every = [built(name, at) for at, name in enumerate(("a", "b", "c", "d", "e"))]
    gone = releases.to_retire(every, keep=2, in_use={"a"}, order=["a", "b", "c", "d"])
    assert [each.name for each in gone] == ["c", "b", "e"]


def test_the_environment_changes_with_the_lock_file_and_the_machine_only(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text("a==1")
    first = environments.environment_dir(tmp_path / "environments", tmp_path)
    (tmp_path / "README").write_text("changed")
    assert environments.environment_dir(tmp_path / "environments", tmp_path) == first
    (tmp_path / "uv.lock").write_text("a==2")
    assert environments.environment_dir(tmp_path / "environments", tmp_path) != first
    one, other = (environments.environment_name([("uv.lock", b"")], machine=m) for m in ("3.11", "3.12"))
    assert one != other


def test_an_environment_that_a_build_left_half_done_is_made_anew(tmp_path: Path) -> None:
    place = tmp_path / "e"
    environments.prepare(place)
    (place / "half").touch()
    environments.prepare(place)
    assert names(place) == []
    (place / "whole").touch()
    environments.mark_ready(place)
    environments.prepare(place)
    assert (place / "whole").exists()
    assert environments.remove_unused(tmp_path, used=()) == ["e"]
