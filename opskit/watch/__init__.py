"""Watching a target in service: health, crash rate, error rate and smoke, and who is told when one of them changes."""
