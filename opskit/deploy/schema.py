"""What a release says of the database: its schema, and what it and the release need of each other."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Schema:
    """What `schema` said."""

    database: int | None
    oldest_compatible: int
    release: int

    @property
    def pending(self) -> bool:
        """True if this release must migrate the database before it can serve it."""
        return self.database is not None and self.release > self.database

    @property
    def refuses(self) -> bool:
        """True if a contract migration left this release behind."""
        return self.database is not None and self.release < self.oldest_compatible
