"""Values of foreign histories as keys of dicts and sets, told apart as the languages they come from tell them apart.

Python takes ``True``, ``1`` and ``1.0`` for one key; in a history they are three values.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Atom:
    """A boolean or a float, by how it is written: equal to nothing but itself."""

    text: str

    def __str__(self) -> str:
        return self.text


def freeze(value: Any) -> Hashable:
    """Return a decoded JSON value as something hashable.

    Integers, strings and None are themselves, lists become tuples, maps sets of pairs, booleans and floats
    ``Atom``. O(size).
    """
    kind = type(value)
    if kind is int or kind is str:
        return value  # type: ignore[no-any-return]
    if isinstance(value, bool):
        return Atom("true" if value else "false")
    if isinstance(value, float):
        return Atom(str(value + 0.0))  # -0.0 is 0.0
    if isinstance(value, list | tuple):
        return tuple(freeze(item) for item in value)
    if isinstance(value, dict):
        return frozenset((key, freeze(item)) for key, item in value.items())
    return value  # type: ignore[no-any-return]
