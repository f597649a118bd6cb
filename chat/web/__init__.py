"""The server as seen from outside: HTTP routes, the WebSocket, and the hardening of the stack beneath them."""
