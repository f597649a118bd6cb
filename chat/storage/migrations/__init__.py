"""Alembic migrations: each sets `schema`, and `oldest_compatible` where it contracts."""
