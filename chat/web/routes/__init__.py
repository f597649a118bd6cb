"""The HTTP calls of the contract: decode, ask the service, encode."""

from chat.web.routes import accounts, messages, operations, rooms
from chat.web.routing import Route

ROUTES: tuple[Route, ...] = (*accounts.ROUTES, *rooms.ROUTES, *messages.ROUTES, *operations.ROUTES)
