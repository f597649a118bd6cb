"""The smoke suite: a black box that knows a URL and the chat's contract, and leaves nothing behind."""
