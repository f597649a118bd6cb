"""Settings: where they come from, in which order, and how what is wrong is told."""

from pathlib import Path

import pytest

from chat.settings import Registration, Settings, SettingsFault, load, read, rules


def test_an_option_goes_before_the_environment_and_that_before_the_file(tmp_path: Path) -> None:
    (tmp_path / "chat.toml").write_text('bind = "file:1"\nheartbeat-ms = 300\ndrain_s = 7\n')
    env = {"CHAT_DATA_DIR": str(tmp_path), "CHAT_BIND": "env:2", "CHAT_HEARTBEAT_MS": "200"}
    settings = load({"bind": "option:3", "heartbeat_ms": None}, env)
    assert (settings.bind, settings.heartbeat_ms, settings.drain_s) == ("option:3", 200, 7.0)


def test_the_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    settings = load({"data_dir": str(tmp_path)}, {})
    assert settings == Settings(data_dir=tmp_path, database_url=f"sqlite:///{tmp_path}/chat.db")
    assert (settings.bind, settings.access_ttl_s, settings.auth_grace_s) == ("127.0.0.1:8000", 900, 25)
    assert (settings.heartbeat_ms, settings.drain_s, settings.bcrypt_cost) == (20_000, 5, 12)
    assert (settings.rate_messages_per_s, settings.burst, settings.rate_commands_per_s) == (10, 40, 30)
    assert (settings.rate_auth_per_min, settings.max_sockets_per_user, settings.max_rooms_per_user) == (30, 20, 1000)
    assert (settings.registration, settings.trusted_proxies, settings.allowed_origins) == (Registration.OPEN, 0, ())
    assert (settings.bus_url, settings.public_url, settings.metrics_token) == (None, None, None)


@pytest.mark.parametrize(
    ("env", "where"),
    [
        ({"HOME": "/home/ann"}, "/home/ann/.local/share/chat"),
        ({"HOME": "/home/ann", "XDG_DATA_HOME": "/data"}, "/data/chat"),
        ({"HOME": "/home/ann", "XDG_DATA_HOME": "relative"}, "/home/ann/.local/share/chat"),
    ],
)
def test_the_data_lies_in_the_users_data_directory(env: dict[str, str], where: str) -> None:
    assert load({}, env).data_dir == Path(where)


def test_all_faults_are_told_together_each_with_its_source_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "chat.toml").write_text('colour = "red"\nmax_rooms_per_user = 0\n')
    with pytest.raises(SettingsFault) as fault:
        load({"bind": "nowhere", "data_dir": str(tmp_path)}, {"CHAT_BCRYPT_COST": "3", "CHAT_REGISTRATION": "maybe"})
    assert fault.value.faults == [
        "chat.toml: unknown setting 'colour'",
        "--bind: 'nowhere' is not HOST:PORT, [IPV6]:PORT or unix:PATH",
        "CHAT_REGISTRATION: 'maybe' is not open, closed or invite",
        "CHAT_BCRYPT_COST: '3' is not a whole number from 4 to 31",
        "chat.toml: max_rooms_per_user: '0' is not a whole number from 1 to 100000",
    ]


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ("bind", "host:99999"),
        ("bind", ":80"),
        ("database_url", "mysql://x"),
        ("database_url", "sqlite:///"),
        ("bus_url", "http://x"),
        ("public_url", "chat.example"),
        ("allowed_origins", "https://a.example,ftp://b"),
        ("access_ttl_s", "0"),
        ("access_ttl_s", "٣"),
        ("access_ttl_s", "1.5"),
        ("drain_s", "-1"),
        ("drain_s", "nan"),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, name: str, raw: str) -> None:
    with pytest.raises(SettingsFault, match=f"--{name.replace('_', '-')}: "):
        read(tmp_path, options={name: raw}, env={}, file={})


def test_origins_are_compared_in_one_spelling(tmp_path: Path) -> None:
    settings = read(
        tmp_path,
        options={"allowed_origins": "https://A.example, http://b:8080/", "public_url": "HTTPS://Chat.example"},
        env={},
        file={},
    )
    assert settings.allowed_origins == ("https://a.example", "http://b:8080")
    assert settings.public_url == "https://chat.example"


def test_a_file_that_is_not_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "chat.toml").write_text("= nonsense")
    with pytest.raises(SettingsFault, match=r"chat\.toml"):
        load({"data_dir": str(tmp_path)}, {})


def test_every_setting_says_what_it_is_for() -> None:
    assert all(rule.help for rule, _ in rules().values())
    assert len(rules()) == len(Settings.__slots__) - 1
