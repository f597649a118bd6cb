"""The checks, in files by subject; run by `smoke.run`, never collected with a project's own tests."""
