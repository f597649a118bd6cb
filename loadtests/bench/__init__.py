"""Benchmarks of one server process on one core beside its peers, in the same run; `python -m loadtests.bench`."""
