"""The verbs of the `chat` command line, one module for each family."""
