"""Migrations of a deploy: rehearsed on a restored backup, then done; refused behind a contract migration."""

import json
from collections.abc import Callable

import pytest

from tests.opskit.deploy.shop import Shop

DATABASE = """\
import json, os, pathlib, shutil, sys
data = pathlib.Path(os.environ["DATA_DIR"], "db.json")
wants = json.loads(pathlib.Path(__file__).with_name("schema.json").read_text())
db = json.loads(data.read_text()) if data.exists() else {"schema": None, "oldest_compatible": 1, "rows": 3}
match sys.argv[1]:
    case "schema":
        print(json.dumps({k: db[k] for k in ("schema", "oldest_compatible")} | {"release": wants["schema"]}))
    case "migrate":
        if wants.get("breaks"):
            sys.exit("column name cannot be null")
        data.write_text(json.dumps(db | wants))
    case "backup":
        shutil.copy(data, os.environ["OPSKIT_BACKUP"])
    case "restore":
        shutil.copy(os.environ["OPSKIT_BACKUP"], data)
"""


@pytest.fixture
def stored(make_shop: Callable[..., Shop]) -> Shop:
    """v1.0.0 in service on a database with schema 1."""
    shop = make_shop(
        smoke="grep -q rows $DATA_DIR/db.json",
        **{key: f"python3 db.py {key}" for key in ("migrate", "schema", "backup", "restore")},
    )
    shop.state_dir.mkdir(parents=True)
    (shop.state_dir / "db.json").write_text('{"schema": 1, "oldest_compatible": 1, "rows": 3}')
    (shop.path / "db.py").write_text(DATABASE)
    next_schema(shop, "v1.0.1", schema=1)
    assert shop.deploy().code == 0
    return shop


def next_schema(shop: Shop, tag: str, **wants: object) -> None:
    (shop.path / "schema.json").write_text(json.dumps(wants))
    shop.commit(tag)


def database(shop: Shop) -> dict[str, object]:
    found: dict[str, object] = json.loads((shop.state_dir / "db.json").read_text())
    return found


def test_a_pending_migration_is_rehearsed_on_a_backup_before_production(stored: Shop) -> None:
    assert stored.deploy().steps["migrate"] == "skipped"
    next_schema(stored, "v1.1.0", schema=2)
    ran = stored.deploy()
    assert ran.code == 0, ran.err
    steps = list(ran.steps)
    assert steps[steps.index("backup") :][:3] == ["backup", "rehearse migration", "migrate"]
    assert ran.steps["rehearse migration"] == "done"
    assert database(stored) == {"schema": 2, "oldest_compatible": 1, "rows": 3}
    assert len(list((stored.state_dir / "backups").iterdir())) == 1
    assert not (stored.state_dir / "scratch").exists()


@pytest.mark.slow
def test_a_migration_that_fails_in_the_rehearsal_never_touches_production(stored: Shop) -> None:
    next_schema(stored, "v1.1.0", schema=2, breaks=True)
    ran = stored.deploy()
    assert ran.code == 5
    assert "migrate in the rehearsal" in ran.last["error"]
    assert "column name cannot be null" in ran.last["error"]
    assert database(stored)["schema"] == 1
    assert stored.serves == "1.0.1"


@pytest.mark.slow
def test_a_rollback_behind_a_contract_migration_is_refused(stored: Shop) -> None:
    next_schema(stored, "v1.1.0", schema=2, oldest_compatible=2)
    assert stored.deploy().code == 0
    ran = stored.opskit("rollback", "--reason", "slow", "--json")
    assert ran.code == 3
    assert "a contract migration made 2 the oldest that can serve this database" in ran.last["error"]
    assert stored.serves == "1.1.0"
