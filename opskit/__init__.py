"""The operations toolkit: release, deploy, watch, roll back, handle incidents and learn from them."""


def __getattr__(name: str) -> str:
    """`__version__`, looked up only when asked for: reading the installed metadata takes a third of a start."""
    if name != "__version__":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("opskit")
    except PackageNotFoundError:  # run from an exported tree that was never installed
        return "0+unknown"
