"""Hotfixes: starting one, the four rows that check it, its review; `opskit.release.plan_hotfix` plans its finish."""
