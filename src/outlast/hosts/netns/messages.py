"""How the tool and a lab's processes talk: JSON messages with file descriptors over a unix socket.

SOCK_SEQPACKET keeps message bounds, so a message is one send and one receive. Descriptors ride along
(SCM_RIGHTS): a spawned program gets the caller's own stdin, stdout and stderr, a published port its
listening socket, and a dialled connection comes back as a socket.
"""

from __future__ import annotations

import array
import errno
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from outlast.errors import HostError

Message = dict[str, object]
"""One JSON object."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a process of the lab did not do what it was asked: the class of the error, its errno if any, its words."""

    kind: str
    errno: int | None
    text: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """Describe an error that was caught. A time-out without a number gets the system's for one."""
        kind = type(error).__name__
        if not isinstance(error, OSError):
            return cls(kind, None, f"{kind}: {error}")
        number = errno.ETIMEDOUT if error.errno is None and isinstance(error, TimeoutError) else error.errno
        text = error.strerror or str(error) or os.strerror(number or 0)
        return cls(kind, number, f"{error.filename}: {text}" if error.filename is not None else text)

    @classmethod
    def read(cls, message: Message) -> Failure | None:
        """Return the failure that a message tells of, None when it tells of none."""
        told = message.get("error")
        return cls(**told) if isinstance(told, dict) else None

    def to_message(self) -> Message:
        """Return the message that tells of it."""
        return {"error": asdict(self)}

    def to_error(self, where: str) -> HostError:
        """Return it as an error of ours. where: what its text begins with."""
        return HostError(f"{where}: {self.text}", kind=self.kind, errno=self.errno)


MESSAGE_BYTES_MAX: Final = 128 * 1024
FDS_MAX: Final = 8


def send(sock: socket.socket, message: Message, fds: Sequence[int] = ()) -> None:
    """Send one message with up to FDS_MAX descriptors. Raises HostError when it is too large."""
    raw = json.dumps(message).encode()
    if len(raw) > MESSAGE_BYTES_MAX:
        raise HostError(f"a message of {len(raw)} bytes to the lab is over the limit of {MESSAGE_BYTES_MAX}")
    socket.send_fds(sock, [raw], list(fds))


def receive(sock: socket.socket) -> tuple[Message | None, list[int]]:
    """Receive one message and its descriptors; (None, []) at the end of the connection.

    The descriptors are close-on-exec and belong to the caller.
    """
    room = socket.CMSG_LEN(FDS_MAX * array.array("i").itemsize)
    raw, ancillary, _flags, _address = sock.recvmsg(MESSAGE_BYTES_MAX, room, socket.MSG_CMSG_CLOEXEC)
    fds = array.array("i")
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            fds.frombytes(data[: len(data) - len(data) % fds.itemsize])
    if not raw:
        for fd in fds:
            os.close(fd)
        return None, []
    message = json.loads(raw)
    if not isinstance(message, dict):
        raise HostError("a message of the lab is not a JSON object")
    return message, list(fds)


def _short_path(path: Path) -> tuple[str, int]:
    """Return a path to the same socket that fits sun_path (108 bytes), and a descriptor to close after."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    return f"/proc/self/fd/{folder}/{path.name}", folder


def listen(path: Path) -> socket.socket:
    """Listen on a unix socket at path (mode 0600), however long the path is."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    path.unlink(missing_ok=True)
    name, folder = _short_path(path)
    try:
        sock.bind(name)
        path.chmod(0o600)
    finally:
        os.close(folder)
    sock.listen(64)
    return sock


def connect(path: Path, timeout_s: float) -> socket.socket:
    """Connect to the unix socket at path. Raises OSError when nobody listens there."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    sock.settimeout(timeout_s)
    try:
        name, folder = _short_path(path)
        try:
            sock.connect(name)
        finally:
            os.close(folder)
    except OSError:
        sock.close()
        raise
    return sock
