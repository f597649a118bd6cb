"""Tests of the smoke suite as its callers use it: a command, its exit code, its output."""
