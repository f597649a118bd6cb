"""The only SQL: tables, migrations, the one writer with group commit, held readers, the logs."""
