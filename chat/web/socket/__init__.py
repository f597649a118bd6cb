"""`GET /chat`: the handshake, a connection's life, its commands, and catching up after a reconnect."""
