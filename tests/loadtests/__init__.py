"""Tests of the load tests: their judgement, and runs against a real chat. Locust runs as a program of its own."""
