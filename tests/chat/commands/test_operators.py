"""What operators do from the command line, mostly beside a running service."""

import asyncio
import json
import os
import sqlite3
import stat
import tarfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypercorn.protocol.ws_stream import WSStream
from typer.testing import CliRunner, Result

from chat.cli import app
from chat.protocol.errors import BadCredentials
from chat.protocol.log import UserOp
from chat.services import Chat
from chat.settings import Settings, read
from chat.storage.schema import InUse, path_of

Run = Callable[..., Result]


@pytest.fixture
def run(settings: Settings) -> Run:
    def run(*words: str, stdin: str | None = None) -> Result:
        env = {
            "CHAT_DATA_DIR": str(settings.data_dir),
            "CHAT_BCRYPT_COST": "4",
            "CHAT_BACKUP_PASSPHRASE": "open sesame",
        }
        return CliRunner().invoke(app, list(words), env=env, input=stdin)

    return run


async def _fill(settings: Settings) -> tuple[str, str, str]:
    """A room with a message and a reaction; returns the owner's tokens and the room's id."""
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1") as chat:
        made = await chat.accounts.register("ann", "correct horse")
        who = await chat.sessions.authenticate(made.access_token)
        room = await chat.rooms.create(who, "cafe-☕")
        sent = await chat.messages.send(who, room.id, "hi ☕", "c-1")
        await chat.reactions.add(who, sent.message.id, "👍")
        return made.access_token, made.refresh_token, room.id


def test_migrate_makes_the_database_and_says_its_schema(run: Run, tmp_path: Path) -> None:
    for _ in range(2):
        done = run("migrate", "--data-dir", str(tmp_path / "new"))
        assert (done.exit_code, done.stderr) == (0, "")
        assert "schema 1" in done.stdout
    assert stat.S_IMODE((tmp_path / "new" / "chat.db").stat().st_mode) == 0o600


def test_settings_that_are_wrong_are_told_all_at_once(run: Run, settings: Settings) -> None:
    done = CliRunner().invoke(
        app,
        ["migrate", "--data-dir", str(settings.data_dir)],
        env={"CHAT_BCRYPT_COST": "3", "CHAT_BIND": "nowhere"},
    )
    assert done.exit_code == 2
    assert "CHAT_BCRYPT_COST: '3'" in done.stderr
    assert "CHAT_BIND: 'nowhere'" in done.stderr


async def test_a_disabled_user_is_out_of_a_running_service_and_back_when_enabled(run: Run, settings: Settings) -> None:
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1") as chat:
        made = await chat.accounts.register("ann", "correct horse")
        assert (await asyncio.to_thread(run, "user", "disable", "ANN")).exit_code == 0
        assert not await chat.sessions.check(made.session_id)
        ends = [event.op for event in await chat.log.user_events(made.user.id, 0)][-2:]
        assert ends == [UserOp.ACCOUNT_GONE, UserOp.SESSION_ENDED]
        with pytest.raises(BadCredentials):
            await chat.accounts.login("ann", "correct horse")
        assert (await asyncio.to_thread(run, "user", "enable", "ann")).exit_code == 0
        await chat.accounts.login("ann", "correct horse")


async def test_a_reset_password_works_and_ends_the_sessions(run: Run, settings: Settings) -> None:
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1") as chat:
        made = await chat.accounts.register("ann", "correct horse")
        done = await asyncio.to_thread(run, "user", "reset-password", "ann", "--stdin", stdin="battery staple\n")
        assert (done.exit_code, "battery" in done.stdout) == (0, False)
        assert not await chat.sessions.check(made.session_id)
        await chat.accounts.login("ann", "battery staple")
        shown = (await asyncio.to_thread(run, "user", "reset-password", "ann")).stdout.split(": ")[1].strip()
        await chat.accounts.login("ann", shown)


async def test_an_invite_from_the_command_line_lets_someone_register(run: Run, settings: Settings) -> None:
    code = (await asyncio.to_thread(run, "user", "invite")).stdout.strip()
    invited = read(settings.data_dir, options={"bcrypt_cost": "4", "registration": "invite"}, env={}, file={})
    async with Chat.open(invited, on_commit=lambda _: None, process_id="p_1") as chat:
        await chat.accounts.register("ann", "correct horse", invite=code)


@pytest.mark.parametrize(
    "words", [("user", "disable", "nobody"), ("user", "enable", "\u202e"), ("doctor", "--data-dir", "/nowhere")]
)
def test_what_is_not_there_is_a_sentence_and_exit_code_1(run: Run, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.exit_code, done.stderr.count("\n")) == (1, 1)
    assert done.stderr.startswith("chat: there is no")


async def test_a_running_service_takes_up_a_rotated_key(run: Run, settings: Settings) -> None:
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1") as chat:
        before = await chat.accounts.register("ann", "correct horse")
        done = await asyncio.to_thread(run, "keys", "rotate")
        assert done.stdout.count("k_") == 2
        after = await chat.accounts.login("ann", "correct horse")
        for token in (before.access_token, after.access_token):
            assert (await chat.sessions.authenticate(token)).username == "ann"


async def test_a_backup_made_beside_writers_is_consistent_and_restores_under_a_new_epoch(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    archive = tmp_path / "backup.tar.gz"
    access_token, _, room_id = await _fill(settings)
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1") as chat:
        epoch, who = chat.epoch, await chat.sessions.authenticate(access_token)

        async def write() -> None:
            for n in range(200):
                await chat.messages.send(who, room_id, str(n))

        writing = asyncio.create_task(write())
        done = await asyncio.to_thread(run, "backup", str(archive))
        assert (done.exit_code, done.stderr) == (0, "")
        await writing
        assert "keys: not included" in done.stdout
        refused = await asyncio.to_thread(run, "restore", str(archive))
        assert (refused.exit_code, "a server is running" in refused.stderr) == (1, True)
    restored = await asyncio.to_thread(run, "restore", str(archive))
    assert (restored.exit_code, restored.stderr) == (0, "")
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1") as chat:
        page = await chat.messages.history(await chat.sessions.authenticate(access_token), room_id, limit=1)
        assert (chat.epoch != epoch, page.messages[0].seq <= 201) == (True, True)
        assert [m.username for m in [page.messages[0].sender]] == ["ann"]
    assert (await asyncio.to_thread(run, "doctor")).exit_code == 0
    kept = [p for p in settings.data_dir.iterdir() if ".before-" in p.name]
    assert kept


def member(archive: Path, name: str) -> bytes:
    with tarfile.open(archive) as tar:
        found = tar.extractfile(name)
        assert found is not None
        return found.read()


def test_a_backup_says_what_it_holds_and_keeps_the_keys_out(run: Run, settings: Settings, tmp_path: Path) -> None:
    asyncio.run(_fill(settings))
    archive = tmp_path / "backup.tar.gz"
    run("backup", str(archive))
    with tarfile.open(archive) as tar:
        assert tar.getnames() == ["manifest.json", "chat.db"]
    manifest = json.loads(member(archive, "manifest.json"))
    assert manifest["counts"] == {"users": 1, "rooms": 1, "messages": 1, "reactions": 1, "sessions": 1}
    assert (manifest["keys"], stat.S_IMODE(archive.stat().st_mode)) == (False, 0o600)


@pytest.mark.parametrize("place", ["chat.db", "keys.json", "a folder", "a pipe", "notes.txt", "nowhere/backup.tar.gz"])
def test_a_backup_takes_the_place_of_nothing_but_a_backup(
    run: Run, settings: Settings, tmp_path: Path, place: str
) -> None:
    asyncio.run(_fill(settings))
    (settings.data_dir / "a folder").mkdir()
    os.mkfifo(settings.data_dir / "a pipe")
    (settings.data_dir / "notes.txt").write_text("buy coffee")
    target = settings.data_dir / place
    before = target.read_bytes() if target.is_file() else target.exists()
    refused = run("backup", str(target))
    assert refused.exit_code == 1
    assert str(target.parent) in refused.stderr
    assert "name" in refused.stderr
    assert (target.read_bytes() if target.is_file() else target.exists()) == before
    archive = tmp_path / "backup.tar.gz"
    archive.touch()
    for _ in range(2):
        assert run("backup", str(archive)).exit_code == 0


def test_sealed_keys_come_back_on_another_machine_with_the_passphrase_only(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    asyncio.run(_fill(settings))
    archive = tmp_path / "backup.tar.gz"
    assert "sealed" in run("backup", str(archive), "--with-keys").stdout
    secret = (settings.data_dir / "keys.json").read_bytes()
    sealed = member(archive, "keys.sealed")
    assert json.loads(secret)["pepper"].encode() not in sealed
    elsewhere = tmp_path / "elsewhere"
    wrong = tmp_path / "wrong"
    wrong.write_text("not sesame")
    refused = run("restore", str(archive), "--data-dir", str(elsewhere), "--passphrase-file", str(wrong))
    assert (refused.exit_code, "wrong passphrase" in refused.stderr) == (1, True)
    assert not (elsewhere / "chat.db").exists()
    assert run("restore", str(archive), "--data-dir", str(elsewhere)).exit_code == 0
    assert (elsewhere / "keys.json").read_bytes() == secret
    assert stat.S_IMODE((elsewhere / "keys.json").stat().st_mode) == 0o600


async def test_a_restore_can_have_everybody_sign_in_again(run: Run, settings: Settings, tmp_path: Path) -> None:
    archive = tmp_path / "backup.tar.gz"
    await _fill(settings)
    await asyncio.to_thread(run, "backup", str(archive))
    assert (await asyncio.to_thread(run, "restore", str(archive), "--end-sessions")).exit_code == 0
    async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1") as chat:
        again = await chat.accounts.login("ann", "correct horse")
        assert len(await chat.sessions.list(await chat.sessions.authenticate(again.access_token))) == 1


@pytest.mark.parametrize("damage", ["not a tar", "cut", "changed"])
def test_a_damaged_archive_is_refused_and_nothing_is_lost(
    run: Run, settings: Settings, tmp_path: Path, damage: str
) -> None:
    asyncio.run(_fill(settings))
    archive = tmp_path / "backup.tar.gz"
    run("backup", str(archive))
    whole = archive.read_bytes()
    spoilt = {"not a tar": b"x" * 100, "cut": whole[: len(whole) // 2], "changed": whole}[damage]
    if damage == "changed":
        spoilt = (
            whole[: len(whole) // 2]
            + bytes(b ^ 1 for b in whole[len(whole) // 2 :][:20])
            + whole[len(whole) // 2 + 20 :]
        )
    archive.write_bytes(spoilt)
    refused = run("restore", str(archive))
    assert (refused.exit_code, "Traceback" in refused.output) == (1, False), refused.output
    assert run("doctor").exit_code == 0


async def test_no_service_starts_during_a_restore(settings: Settings) -> None:
    from chat.storage.schema import stopped

    await _fill(settings)
    with stopped(path_of(settings.database_url)), pytest.raises(InUse, match="restore"):
        async with Chat.open(settings, on_commit=lambda _: None, process_id="p_1"):
            pass


DAMAGES = {
    "cursor": "UPDATE members SET read_seq = 99",
    "member count": "UPDATE rooms SET member_count = 7",
    "owner": "UPDATE rooms SET owner_id = NULL",
    "room key": "UPDATE rooms SET key = 'cafe'",
    "username key": "UPDATE users SET username_key = 'other'",
}
WOUNDS = {
    "dense rev": "DELETE FROM room_log WHERE rev = 2",
    "dense seq": "UPDATE rooms SET seq = 0",
    "user log": "UPDATE users SET log_n = 5",
    "message event": "UPDATE room_log SET message_id = 'm_x' WHERE op = 'message'",
    "reaction count": "DELETE FROM reactions",
    "orphan": "DELETE FROM users",
    "orphan log": "INSERT INTO room_log (room_id, rev, at_ms, op) VALUES ('r_x', 1, 0, 'delete')",
}


def damage(settings: Settings, *statements: str) -> None:
    with closing(sqlite3.connect(path_of(settings.database_url), isolation_level=None)) as db:
        for statement in statements:
            db.execute(statement)


@pytest.mark.parametrize("check", DAMAGES)
def test_doctor_finds_and_mends(run: Run, settings: Settings, check: str) -> None:
    asyncio.run(_fill(settings))
    assert run("doctor").stdout == "all holds\n"
    damage(settings, DAMAGES[check])
    found = run("doctor")
    assert (found.exit_code, f"{check}: " in found.stdout) == (1, True)
    assert run("doctor", "--repair").exit_code == 0
    assert run("doctor").stdout == "all holds\n"


@pytest.mark.parametrize("check", WOUNDS)
def test_doctor_finds_what_it_cannot_mend(run: Run, settings: Settings, check: str) -> None:
    asyncio.run(_fill(settings))
    damage(settings, WOUNDS[check])
    found = run("doctor")
    assert (found.exit_code, f"{check}: " in found.stdout) == (1, True), found.output


def test_doctor_gives_blank_and_colliding_rooms_names_of_their_own(run: Run, settings: Settings) -> None:
    asyncio.run(_fill(settings))
    columns = "id, name, key, key_version, created_ms"
    damage(
        settings,
        f"INSERT INTO rooms ({columns}) VALUES ('r_blank', '\u2800', '\u2800', 0, 0)",
        f"INSERT INTO rooms ({columns}) VALUES ('r_twin', 'CAFE-☕', 'CAFE-☕', 0, 0)",
    )
    done = run("doctor", "--repair")
    assert (done.exit_code, "renamed" in done.stdout) == (0, True), done.output
    with closing(sqlite3.connect(path_of(settings.database_url))) as db:
        names = dict(db.execute("SELECT id, name FROM rooms").fetchall())
        assert (names["r_blank"], names["r_twin"]) == ("room-blank", "CAFE-☕ 2")
        assert db.execute("SELECT count(*) FROM room_log WHERE op = 'rename'").fetchone() == (2,)


def test_doctor_finds_that_an_upgrade_has_undone_the_hardening(
    run: Run, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(_fill(settings))
    monkeypatch.delattr(WSStream, "app_send")
    found = run("doctor")
    assert found.exit_code == 1
    assert "stack: hypercorn.protocol.ws_stream.WSStream no longer has app_send" in found.stdout
    assert found.stdout.endswith("1 found\n")
