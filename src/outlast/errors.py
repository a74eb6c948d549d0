"""The error tree.

    OutlastError               everything a person may see; carries a hint
    ├── ConfigError             what a person wrote is wrong: names file, key and line   (exit 64)
    ├── UnavailableError        this machine, kernel, user or system cannot do that     (exit 64)
    ├── HistoryError            a stored history cannot be read                         (exit 64)
    ├── ClusterError            a cluster did not do what it must (start, elect, stop)  (exit 1)
    ├── FaultError              a fault did not bite, or could not be healed            (exit 2)
    ├── HostError               the lab or one of its hosts failed us                   (exit 70)
    └── HarnessError            our own fault                                           (exit 70)

A database that misbehaves under a fault is a finding, never an exception.
"""

from __future__ import annotations


class OutlastError(Exception):
    """Something that stopped the command, said for a person.

    message: what happened and where. hint: what to do about it, or None.
    """

    exit_code = 70

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(OutlastError):
    """What a person wrote is wrong.

    file: the path as it was given, or None. key: dotted path of the key, or None. line: 1-based, or None.
    """

    exit_code = 64

    def __init__(
        self,
        message: str,
        *,
        file: str | None = None,
        key: str | None = None,
        line: int | None = None,
        hint: str | None = None,
    ) -> None:
        place = file or ""
        if line is not None:
            place = f"{place}:{line}" if place else f"line {line}"
        parts = [part for part in (place, key, message) if part]
        super().__init__(": ".join(parts), hint=hint)
        self.reason = message
        self.file = file
        self.key = key
        self.line = line


class UnavailableError(OutlastError):
    """This machine, kernel, user or system cannot do what was asked."""

    exit_code = 64


class HistoryError(OutlastError):
    """A history cannot be read or makes no sense. line: 1-based line in its file, or None."""

    exit_code = 64

    def __init__(
        self, message: str, *, file: str | None = None, line: int | None = None, hint: str | None = None
    ) -> None:
        place = file or ""
        if line is not None:
            place = f"{place}:{line}" if place else f"line {line}"
        super().__init__(f"{place}: {message}" if place else message, hint=hint)
        self.file = file
        self.line = line


class ClusterError(OutlastError):
    """A cluster did not do what it must: start, elect, replicate, stop."""

    exit_code = 1


class FaultError(OutlastError):
    """A fault did not bite, so that what follows proves nothing, or could not be healed."""

    exit_code = 2


class HostError(OutlastError):
    """The lab or one of its hosts failed us.

    kind: the class of the error where it happened, when that was another process; errno: the system's number for it.
    """

    def __init__(
        self, message: str, *, hint: str | None = None, kind: str | None = None, errno: int | None = None
    ) -> None:
        super().__init__(message, hint=hint)
        self.kind = kind
        self.errno = errno


class HarnessError(OutlastError):
    """Our own fault."""
