"""Fixtures of all tests of the chat."""

from tests.chat.server import shared_server

__all__ = ["shared_server"]
