"""Chromium for the tests that need a browser, and the rule for machines without one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from tests.conftest import lacking

CHROMIUM = Path("/usr/bin/chromium")
# Without the last ones Chromium looks for its maker's hosts, which tests must not depend on.
QUIET = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium; skips the test where Debian's package is not installed."""
    if not CHROMIUM.exists():
        lacking("no browser at /usr/bin/chromium", install="apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()
