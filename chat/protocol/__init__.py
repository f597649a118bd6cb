"""The contract `chat.v1` as types: what goes over the wire, the codes of what can go wrong, and the one codec."""
