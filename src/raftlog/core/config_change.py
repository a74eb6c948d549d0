"""A change of membership as a value: what a caller proposes, and what an entry of the log carries.

The rules under which a change may take effect are in membership.py.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum


class MembershipError(Exception):
    """The change asked for is not allowed; nothing was changed."""


class Op(IntEnum):
    """What happens to one node. UPDATE changes nothing here: it only carries a context."""

    ADD_VOTER = 0
    REMOVE = 1
    UPDATE = 2
    ADD_LEARNER = 3


class Transition(IntEnum):
    """AUTO uses a joint configuration only where it must and then leaves it by itself."""

    AUTO = 0
    JOINT_IMPLICIT = 1
    JOINT_EXPLICIT = 2


@dataclass(frozen=True, slots=True)
class Change:
    """What happens to one node."""

    op: Op
    node: int


_HEAD = struct.Struct(">BH")
_ONE = struct.Struct(">BQ")


@dataclass(frozen=True, slots=True)
class ConfigChange:
    """Changes that take effect together once their entry is applied; none at all means: leave the joint
    configuration.

    context: opaque bytes for the caller, for example a new node's address.
    """

    changes: tuple[Change, ...] = ()
    transition: Transition = Transition.AUTO
    context: bytes = b""

    @property
    def leaves_joint(self) -> bool:
        """Whether this ends a joint configuration."""
        return not self.changes

    @property
    def enters_joint(self) -> bool:
        """Whether this needs, or asks for, a joint configuration."""
        return bool(self.changes) and (self.transition != Transition.AUTO or len(self.changes) > 1)

    def encode(self) -> bytes:
        """Return the change as the data of a log entry."""
        head = _HEAD.pack(self.transition, len(self.changes))
        return head + b"".join(_ONE.pack(c.op, c.node) for c in self.changes) + self.context

    @classmethod
    def decode(cls, data: bytes) -> ConfigChange:
        """Return the change that an entry's data carries. Raises struct.error or ValueError when it is none."""
        if not data:
            return cls()
        try:
            transition, count = _HEAD.unpack_from(data)
            end = _HEAD.size + count * _ONE.size
            pairs = list(_ONE.iter_unpack(data[_HEAD.size : end]))
        except struct.error as error:
            raise ValueError(f"not a membership change: {error}") from error
        if len(pairs) != count:
            raise ValueError("a membership change is truncated")
        changes = tuple(Change(Op(op), node) for op, node in pairs)
        return cls(changes, Transition(transition), data[end:])
