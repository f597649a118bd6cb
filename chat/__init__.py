"""The chat server: a Quart application on Hypercorn."""
