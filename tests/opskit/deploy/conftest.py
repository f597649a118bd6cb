"""A shop for each test, ended with everything it started."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.opskit.deploy.shop import Shop, open_shop


@pytest.fixture
def make_shop(tmp_path: Path) -> Iterator[Callable[..., Shop]]:
    """Opens shops with other keys of the target."""
    opened: list[Shop] = []

    def make(**keys: Any) -> Shop:
        opened.append(open_shop(tmp_path / f"s{len(opened)}", **keys))
        return opened[-1]

    yield make
    for shop in opened:
        shop.end()


@pytest.fixture
def shop(make_shop: Callable[..., Shop]) -> Shop:
    """A repository with v1.0.0 tagged, nothing deployed."""
    return make_shop()


@pytest.fixture
def running(shop: Shop) -> Shop:
    """The same with v1.0.0 in service."""
    assert shop.deploy().code == 0
    return shop
