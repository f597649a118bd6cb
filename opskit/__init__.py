"""The operations toolkit: release, deploy, watch, roll back, handle incidents and learn from them."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("opskit")
except PackageNotFoundError:  # run from an exported tree that was never installed
    __version__ = "0+unknown"
