"""Plain values to JSON and back: what the control protocol and the state file are written in. Standard library only."""

import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, asdict, fields, is_dataclass
from enum import Enum
from typing import Any, TypeVar

T = TypeVar("T")


class Malformed(ValueError):
    """The JSON does not have the shape of the type asked for."""


def encode(value: Any) -> Any:
    """The JSON tree of a dataclass (or of anything that is JSON already)."""
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def decode(kind: type[T], tree: Any) -> T:
    """Build dataclass *kind* of *tree*; unknown keys are ignored, so that a newer writer can be read.

    Raises Malformed, with the key's path, where something is missing or of the wrong type.
    """
    return typing.cast("T", _value(kind, tree, kind.__name__))


def _value(hint: Any, tree: Any, path: str) -> Any:
    if hint is Any:
        return tree
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if tree is None and type(None) in arguments:
            return None
        return _value(next(a for a in arguments if a is not type(None)), tree, path)
    if is_dataclass(hint):
        return _dataclass(hint, tree, path)
    if origin in (tuple, list):
        _expect(isinstance(tree, list | tuple), path, tree)
        return origin(_value(arguments[0], item, f"{path}[{at}]") for at, item in enumerate(tree))
    if origin is not None and issubclass(origin, Mapping):
        _expect(isinstance(tree, Mapping), path, tree)
        return {key: _value(arguments[1], item, f"{path}.{key}") for key, item in tree.items()}
    if issubclass(hint, Enum):
        _expect(tree in {member.value for member in hint}, path, tree)
        return hint(tree)
    accepted = (int, float) if hint is float else (hint,)
    _expect(isinstance(tree, accepted) and (hint is bool or not isinstance(tree, bool)), path, tree)
    return tree


def _dataclass(hint: Any, tree: Any, path: str) -> Any:
    _expect(isinstance(tree, Mapping), path, tree)
    hints = typing.get_type_hints(hint)
    values = {}
    for spec in fields(hint):
        if spec.name in tree:
            values[spec.name] = _value(hints[spec.name], tree[spec.name], f"{path}.{spec.name}")
        elif spec.default is MISSING and spec.default_factory is MISSING:
            raise Malformed(f"{path}.{spec.name} is missing")
    return hint(**values)


def _expect(holds: bool, path: str, tree: Any) -> None:
    if not holds:
        raise Malformed(f"{path} cannot be {tree!r:.80}")
