"""Errors of a lab's processes arrive as what they were: class, errno and words."""

from __future__ import annotations

import errno
import json
import socket

import pytest

from outlast.hosts.netns import messages
from outlast.hosts.netns.messages import Failure


@pytest.mark.parametrize(
    ("error", "failure"),
    [
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed"),
            Failure("ConnectionRefusedError", errno.ECONNREFUSED, "Connect call failed"),
        ),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "/proc/7/ns/net"),
            Failure("FileNotFoundError", errno.ENOENT, "/proc/7/ns/net: No such file or directory"),
        ),
        (TimeoutError(), Failure("TimeoutError", errno.ETIMEDOUT, "Connection timed out")),
        (OSError("no number"), Failure("OSError", None, "no number")),
        (ValueError("no such request"), Failure("ValueError", None, "ValueError: no such request")),
    ],
)
def test_a_failure_arrives_as_it_was(error: BaseException, failure: Failure) -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        messages.send(near, Failure.of(error).to_message())
        message, _fds = messages.receive(far)
    assert message is not None
    assert Failure.read(message) == failure
    raised = failure.to_error("lab-1")
    assert (raised.kind, raised.errno) == (failure.kind, failure.errno)
    assert raised.message == f"lab-1: {failure.text}"


def test_an_answer_is_no_failure() -> None:
    assert Failure.read(json.loads('{"pid": 7}')) is None
