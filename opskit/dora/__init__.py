"""How well the team delivers: the five DORA measures and what was done, from the ledger and the git history."""
