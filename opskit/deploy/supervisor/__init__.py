"""The supervisor: starts, watches, swaps and ends the releases of one host target. Standard library only."""
