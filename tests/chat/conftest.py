"""Fixtures of all tests of the chat."""

from tests.chat.databases import made_database, settings
from tests.chat.server import shared_server

__all__ = ["made_database", "settings", "shared_server"]
