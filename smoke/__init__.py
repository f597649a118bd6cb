"""The smoke suite: a black box that knows a URL and the contract, and imports neither half."""
