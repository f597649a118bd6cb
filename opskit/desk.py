"""What every verb that changes the repository works with."""

from dataclasses import dataclass
from pathlib import Path

from opskit.config import Config
from opskit.git.runner import Git
from opskit.journal import Journal, Operation
from opskit.ledger import Ledger
from opskit.report import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where an operation is carried out. `git` runs in the main work tree, which no step removes."""

    git: Git
    config: Config
    config_dir: Path
    remote: str
    journal: Journal
    ledger: Ledger
    report: Report

    def operation(self) -> Operation:
        """The operation under way."""
        return self.journal.read() or Operation(())
