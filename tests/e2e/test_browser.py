"""The web client in real browsers against a real server: two people talk, and nothing gets lost on the way."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.chat.server import NO_TLS, PASSWORD, Server, nonce, running
from tests.e2e.browser import chromium

WAIT_MS = 30_000  # generous: the machine may be busy
expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("chat")) as server:
        yield server


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def faults() -> Iterator[list[str]]:
    """What went wrong inside the pages, policy violations included; must stay empty."""
    seen: list[str] = []
    yield seen
    assert seen == []


Arrive = Callable[..., Page]


@pytest.fixture
def arrive(browser: Browser, faults: list[str]) -> Iterator[Arrive]:
    """Opens pages, each in a browser of its own."""
    contexts = []

    def new_page(**options: Any) -> Page:
        context = browser.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security Policy" in said.text else None)
        return page

    yield new_page
    for context in contexts:
        context.close()


@pytest.fixture
def zoe(arrive: Arrive, server: Server) -> Page:
    """Someone signed in, in Latin script."""
    return signed_in(arrive, server, "Zoé")


@pytest.fixture
def people(arrive: Arrive, server: Server, zoe: Page) -> tuple[Page, Page]:
    """Two people in browsers of their own, signed in: one in Latin script, one in Arabic."""
    return zoe, signed_in(arrive, server, "محمد", color_scheme="dark")


def register(server: Server, name: str) -> dict[str, Any]:
    """What the server says of a new account."""
    body = {"username": f"{name}{nonce('')}", "password": PASSWORD}
    answer = httpx.post(f"{server.url}/auth/register", json=body, verify=NO_TLS).raise_for_status()
    return dict(answer.json())


def signed_in(arrive: Arrive, server: Server, name: str, **options: Any) -> Page:
    """The page of someone who signed up on this device before, which is quicker than to sign up each time."""
    account = register(server, name)
    kept = [{"name": "chat.refresh_token", "value": account["refresh_token"]}]
    page = arrive(storage_state={"cookies": [], "origins": [{"origin": server.url, "localStorage": kept}]}, **options)
    page.goto(server.url)
    expect(page.get_by_role("navigation", name="Rooms")).to_contain_text(account["user"]["username"])
    return page


def sign_up(page: Page, server: Server, username: str) -> None:
    page.goto(server.url)
    page.get_by_role("button", name="Create an account").click()
    page.get_by_label("Username").fill(username)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("navigation", name="Rooms")).to_contain_text(username)


def start_room(page: Page, name: str) -> None:
    page.get_by_role("button", name="Find or start a room").first.click()
    page.get_by_role("searchbox").fill(name)
    page.get_by_role("dialog").get_by_role("button", name="Start").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def join_room(page: Page, name: str) -> None:
    page.get_by_role("button", name="Find or start a room").first.click()
    page.get_by_role("searchbox").fill(name.upper())  # found however it is typed
    page.get_by_role("dialog").get_by_role("listitem").filter(has_text=name).get_by_role("button").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(name)


def say(page: Page, content: str) -> None:
    page.get_by_role("textbox", name="Message").fill(content)
    page.keyboard.press("Enter")


def said(page: Page) -> list[str]:
    return page.locator(".message:not(.pending) .said").all_inner_texts()


def sees(page: Page, content: str) -> None:
    expect(page.get_by_role("log").get_by_text(content, exact=True)).to_be_visible()


def test_two_people_talk_react_and_stay_together_through_a_restart(arrive: Arrive, server: Server) -> None:
    zoe, mohammed = arrive(), arrive(color_scheme="dark")
    sign_up(zoe, server, f"Zoé{nonce('')}")
    sign_up(mohammed, server, f"محمد{nonce('')}")
    room = f"cafe-☕ {nonce('')}"
    start_room(zoe, room)
    join_room(mohammed, room)

    say(zoe, "Coffee? ☕️")
    sees(mohammed, "Coffee? ☕️")
    say(mohammed, "نعم، بكل سرور")
    sees(zoe, "نعم، بكل سرور")

    message = zoe.locator(".message", has_text="نعم")
    message.hover()
    message.get_by_role("button", name="React with ❤️").click()
    reaction = mohammed.get_by_role("button", name="❤️, 1", exact=True)
    expect(reaction).to_have_attribute("aria-pressed", "false")
    reaction.click()
    expect(zoe.get_by_role("button", name="❤️, 2, including you")).to_be_visible()

    server.stop()
    expect(zoe.get_by_role("status").filter(has_text=re.compile("Offline|Connecting"))).to_be_visible()
    say(zoe, "said while nobody listens")
    expect(zoe.get_by_text("Will be sent when the connection is back")).to_be_visible()
    server.start()
    sees(mohammed, "said while nobody listens")
    expect(zoe.locator(".pending")).to_have_count(0)
    expect(zoe.get_by_role("button", name="❤️, 2, including you")).to_be_visible()
    assert said(zoe) == said(mohammed) == ["Coffee? ☕️", "نعم، بكل سرور", "said while nobody listens"]


def test_what_is_said_elsewhere_is_notified_and_counted_until_it_is_read(people: tuple[Page, Page]) -> None:
    zoe, mohammed = people
    room, other = f"кухня {nonce('')}", f"elsewhere {nonce('')}"
    start_room(zoe, room)
    join_room(mohammed, room)
    start_room(mohammed, other)
    say(zoe, "<b>lunch</b> is ready")

    expect(mohammed.get_by_role("button").filter(has_text="<b>lunch</b> is ready")).to_be_visible()
    expect(mohammed).to_have_title(re.compile(r"^\(1\) "))
    mohammed.get_by_role("link", name=re.compile(room)).click()
    sees(mohammed, "<b>lunch</b> is ready")
    expect(mohammed).to_have_title(f"{room} · chat")
    expect(mohammed.locator("button.note")).to_have_count(0, timeout=1_000)
    expect(mohammed.get_by_role("separator").filter(has_text="New")).to_be_visible()


def test_who_types_and_who_is_there_is_shown(people: tuple[Page, Page]) -> None:
    zoe, mohammed = people
    room = f"ねこ {nonce('')}"
    start_room(zoe, room)
    join_room(mohammed, room)
    expect(zoe.locator(".about")).to_have_text("2 members, 2 online")
    mohammed.get_by_role("textbox", name="Message").press_sequentially("um")
    expect(zoe.locator(".typing")).to_contain_text("is typing")
    mohammed.context.close()
    expect(zoe.locator(".about")).to_have_text("2 members, 1 online")


def test_older_messages_come_in_above_as_one_scrolls_up(arrive: Arrive, server: Server) -> None:
    room = f"long {nonce('')}"
    with httpx.Client(base_url=server.url, verify=NO_TLS) as teller:
        teller.headers["Authorization"] = f"Bearer {register(server, 'teller')['access_token']}"
        room_id = teller.post("/rooms", json={"name": room}).json()["room"]["id"]
        for number in range(120):
            teller.post(f"/rooms/{room_id}/messages", json={"content": f"number {number}"}).raise_for_status()
    mohammed = signed_in(arrive, server, "محمد")
    join_room(mohammed, room)
    sees(mohammed, "number 119")
    assert len(said(mohammed)) == 50
    for _ in range(2):
        before = len(said(mohammed))
        mohammed.locator(".scroller").evaluate("(log) => log.scrollTo(0, 0)")
        mohammed.wait_for_function("(before) => document.querySelectorAll('.message').length > before", arg=before)
    expect(mohammed.get_by_text("This is the beginning of")).to_be_attached()
    assert said(mohammed) == [f"number {number}" for number in range(120)]


def test_a_reload_keeps_the_session_the_room_and_the_messages(zoe: Page) -> None:
    room = f"reload {nonce('')}"
    start_room(zoe, room)
    say(zoe, "still here")
    sees(zoe, "still here")
    zoe.reload()
    expect(zoe.get_by_role("heading", level=1)).to_have_text(room)
    sees(zoe, "still here")


def test_one_stays_signed_in_on_the_device_in_every_tab_until_signing_out(zoe: Page) -> None:
    name = zoe.locator(".account bdi").inner_text()
    tabs = [zoe.context.new_page() for _ in range(2)]
    for tab in tabs:  # all renew the one session at once
        tab.goto(zoe.url, wait_until="commit")
    for tab in (*tabs, zoe):
        expect(tab.get_by_role("navigation", name="Rooms")).to_contain_text(name)
    zoe.reload()
    tabs[0].get_by_title("Account").click()
    tabs[0].get_by_role("button", name="Sign out").click()
    for tab in (*tabs, zoe):
        expect(tab.get_by_role("heading", name="Welcome back")).to_be_visible()


def test_who_does_not_want_to_stay_is_signed_in_as_long_as_the_tab(arrive: Arrive, server: Server) -> None:
    name = register(server, "Zoé")["user"]["username"]
    page = arrive()
    other = page.context.new_page()
    page.goto(server.url)
    page.get_by_label("Username").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Stay signed in on this device").uncheck()
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("navigation", name="Rooms")).to_contain_text(name)
    page.reload()
    expect(page.get_by_role("navigation", name="Rooms")).to_contain_text(name)
    other.goto(server.url)
    expect(other.get_by_role("heading", name="Welcome back")).to_be_visible()


def test_what_is_said_offline_waits_and_says_so(people: tuple[Page, Page]) -> None:
    zoe, muhammad = people
    room = f"tunnel {nonce('')}"
    start_room(zoe, room)
    join_room(muhammad, room)
    zoe.context.set_offline(True)
    expect(zoe.get_by_role("status").filter(has_text="Offline")).to_be_visible()
    say(zoe, "from the tunnel")
    expect(zoe.get_by_text("Will be sent when the connection is back")).to_be_visible()
    say(muhammad, "where are you?")
    zoe.context.set_offline(False)
    sees(muhammad, "from the tunnel")
    sees(zoe, "where are you?")
    assert said(zoe) == said(muhammad) == ["where are you?", "from the tunnel"]


def test_the_list_of_members_goes_with_its_room(people: tuple[Page, Page]) -> None:
    zoe, _ = people
    start_room(zoe, f"left {nonce('')}")
    zoe.get_by_role("button", name="Members", exact=True).click()
    members = zoe.get_by_role("heading", name="Members")
    expect(members).to_be_visible()
    zoe.get_by_role("button", name="Room menu").click()
    zoe.get_by_role("menuitem", name="Leave the room").click()
    expect(zoe.get_by_role("heading", name="Pull up a chair")).to_be_visible()
    expect(members).to_be_hidden()


def test_an_erased_author_is_no_longer_named(people: tuple[Page, Page]) -> None:
    zoe, muhammad = people
    room = f"farewell {nonce('')}"
    start_room(zoe, room)
    join_room(muhammad, room)
    say(muhammad, "goodbye")
    sees(zoe, "goodbye")
    muhammad.get_by_title("Account").click()
    muhammad.get_by_role("button", name="Erase account").click()
    muhammad.get_by_role("dialog").get_by_label("Password").fill(PASSWORD)
    muhammad.get_by_role("button", name="Erase my account").click()
    expect(muhammad.get_by_text("Your account is erased.")).to_be_visible()
    expect(zoe.locator(".message .name")).to_have_text("deleted user")
    expect(zoe.get_by_role("navigation", name="Rooms")).to_contain_text("deleted user: goodbye")


@pytest.mark.parametrize("address", ["#r_none", "#%"])
def test_an_address_of_no_room_is_told_once_and_left(people: tuple[Page, Page], address: str) -> None:
    zoe, muhammad = people
    room = f"address {nonce('')}"
    start_room(muhammad, room)
    join_room(zoe, room)
    zoe.goto(zoe.url.partition("#")[0] + address)
    expect(zoe.get_by_text("That room does not exist any more.")).to_have_count(1)
    say(muhammad, "something happens elsewhere")
    expect(zoe.get_by_role("navigation", name="Rooms")).to_contain_text("something happens elsewhere")
    assert zoe.get_by_text("That room does not exist any more.").count() <= 1
    assert zoe.url.partition("#")[2] == ""


def test_an_ended_session_leads_back_to_signing_in_and_says_why(zoe: Page, arrive: Arrive, server: Server) -> None:
    name = zoe.locator(".account bdi").inner_text()
    other = arrive()
    other.goto(server.url)
    other.get_by_label("Username").fill(name)
    other.get_by_label("Password").fill(PASSWORD)
    other.get_by_role("button", name="Sign in").click()
    other.get_by_title("Account").click()
    other.get_by_role("button", name="End").click()
    expect(zoe.get_by_role("heading", name="Welcome back")).to_be_visible()
    expect(zoe.get_by_text("Your session has ended. Please sign in again.")).to_be_visible()


def test_a_wrong_password_and_a_taken_name_are_told_in_words(arrive: Arrive, server: Server) -> None:
    name = register(server, "Zoé")["user"]["username"]
    page = arrive()
    page.goto(server.url)
    page.get_by_label("Username").fill(name.upper())
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_text("That username and password do not match.")
    page.get_by_role("button", name="Create an account").click()
    page.get_by_role("button", name="Create account").click()
    expect(page.get_by_role("alert")).to_have_text("That username, or one that looks like it, is taken.")


def test_the_page_works_by_keyboard_alone(zoe: Page) -> None:
    room = f"keys {nonce('')}"
    zoe.keyboard.press("Control+k")
    zoe.keyboard.type(room)
    expect(zoe.get_by_role("button", name=f"Start {room}")).to_be_visible()
    zoe.keyboard.press("Enter")
    expect(zoe.get_by_role("heading", level=1)).to_have_text(room)
    expect(zoe.get_by_role("textbox", name="Message")).to_be_focused()
    zoe.keyboard.type("hello")
    zoe.keyboard.press("Enter")
    sees(zoe, "hello")
    zoe.get_by_role("region", name="Conversation").focus()
    zoe.keyboard.press("ArrowUp")
    expect(zoe.locator(".message:focus")).to_contain_text("hello")
    zoe.keyboard.press("Tab")
    expect(zoe.get_by_role("button", name="React with 👍")).to_be_focused()
    zoe.keyboard.press("Enter")
    expect(zoe.get_by_role("button", name="👍, 1, including you")).to_be_visible()


def test_the_client_loads_nothing_from_elsewhere(server: Server, browser: Browser) -> None:
    page = browser.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.url)
    expect(page.get_by_role("heading", name="Welcome back")).to_be_visible()
    assert asked
    assert all(url.startswith(server.url) for url in asked)
    static = Path(__file__).resolve().parent.parent.parent / "chat" / "web" / "static"
    assert not [
        path.name
        for path in static.glob("*.js")
        if re.search(r"innerHTML|insertAdjacentHTML|eval\(", path.read_text("utf-8"))
    ]
    page.close()
