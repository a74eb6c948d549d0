"""What can go wrong, said for a person.

RaftlogError            everything below; carries a hint
├── ConfigError         the config file or a command line is wrong           (exit 64)
├── CorruptError        what is on disk is not what was written              (exit 65)
├── StorageError        the disk refuses: full, read-only, failing           (exit 74)
└── ProtocolError       a peer or a client broke the protocol                (that connection is closed)
"""

from __future__ import annotations


class RaftlogError(Exception):
    """Something that a person must know. hint: what to do about it, or None."""

    exit_code = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(RaftlogError):
    """What a person wrote is wrong; the message names file and key."""

    exit_code = 64


class CorruptError(RaftlogError):
    """What is on disk is not what was written. Nothing is repaired by guessing: that could lose acked messages."""

    exit_code = 65


class StorageError(RaftlogError):
    """The disk refuses. The node stops: after a failed write or sync nobody knows what is stored."""

    exit_code = 74


class ProtocolError(RaftlogError):
    """The other side of a connection sent what it must not; the connection is closed."""
