"""Load tests and benchmarks: black boxes that know a URL and the contract, and import neither half."""
