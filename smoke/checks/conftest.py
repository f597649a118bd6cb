"""What the checks share: the visit, its two people, and a room with an emoji in its name that both are in."""

from collections.abc import Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from smoke.api import Http
from smoke.errands import Errands
from smoke.run import Recorder
from smoke.visit import Person, Visit
from smoke.wire import Socket

Room = dict[str, Any]


@pytest.fixture(scope="session")
def visit(pytestconfig: pytest.Config) -> Iterator[Visit]:
    """This run's visit; whatever it made is removed when the run ends, however it ends."""
    recorder = next(plugin for plugin in pytestconfig.pluginmanager.get_plugins() if isinstance(plugin, Recorder))
    yield recorder.visit
    recorder.visit.leave()


@pytest.fixture(scope="session")
def outsider(visit: Visit) -> Iterator[Http]:
    """Someone without a token."""
    client = Http(visit.url)
    yield client
    client.close()


@pytest.fixture(scope="session", autouse=True)
def arrival(visit: Visit) -> Future[tuple[Person, Person]]:
    """Two people signing in while the first checks, which need nobody, are made."""
    return visit.meanwhile(visit.arrive)


@pytest.fixture(scope="session")
def errands(visit: Visit, arrival: Future[tuple[Person, Person]]) -> Errands:
    """What is under way for the two beside other checks."""
    return Errands.begin(visit, *arrival.result())


@pytest.fixture(scope="session")
def people(arrival: Future[tuple[Person, Person]], errands: Errands) -> tuple[Person, Person]:
    """Two people, signed in; their errands begin with them."""
    return arrival.result()


@pytest.fixture
def ada(people: tuple[Person, Person]) -> Person:
    """The first of the two; owns the rooms."""
    return people[0]


@pytest.fixture
def zoe(people: tuple[Person, Person]) -> Person:
    """The second of the two; joins the rooms."""
    return people[1]


@pytest.fixture(scope="session")
def second_session(errands: Errands) -> Iterator[Person]:
    """The second of the two once more, signed in with another spelling of the name."""
    again = errands.second_session.result()
    yield again
    again.http.close()


@pytest.fixture(scope="session")
def cafe(visit: Visit, people: tuple[Person, Person]) -> Room:
    """The room `cafe-☕ <nonce>`, both in it."""
    return visit.open_room(people[0], visit.room_name("cafe-☕"), people[1])


@pytest.fixture
def sockets(ada: Person, zoe: Person, cafe: Room) -> Iterator[tuple[Socket, Socket]]:
    """A fresh socket for each of the two, both members of the café."""
    with ada.socket() as first, zoe.socket() as second:
        yield first, second
