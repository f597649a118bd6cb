"""Tests of release, hotfix, undo and what they stand on, with real repositories and a real bare remote."""
