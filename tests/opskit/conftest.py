"""What the tests of opskit share."""

from tests.opskit.repos import repos

__all__ = ["repos"]
