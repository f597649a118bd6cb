"""Black-box probes of a running service by HTTP and WebSocket: what is wrong, what it risks, what mends it."""
