"""Runs the outlast program on a terminal of its own and answers its questions."""

from __future__ import annotations

import os
import select
import subprocess
import time
from collections.abc import Sequence

from program import command

from outlast.pace import scaled

QUESTION_TIMEOUT_S = 60.0


class Talk:
    """A program whose stdin and stderr are a terminal, and whose stdout is not."""

    def __init__(self, *words: str, cwd: str | None = None) -> None:
        self._master, slave = os.openpty()
        env = {**os.environ, "TERM": "dumb", "COLUMNS": "200"}
        self._program = subprocess.Popen(
            command(*words), stdin=slave, stdout=subprocess.PIPE, stderr=slave, cwd=cwd, env=env
        )
        os.close(slave)
        self.said = ""
        self._seen = 0

    def answer(self, question: str, text: str) -> None:
        """Wait until the program has asked, and answer."""
        deadline = time.monotonic() + scaled(QUESTION_TIMEOUT_S)
        while question not in self.said[self._seen :]:
            assert self._read(deadline), f"it never asked {question!r}; it said:\n{self.said}"
        self._seen = len(self.said)
        os.write(self._master, f"{text}\n".encode())

    def answers(self, talk: Sequence[tuple[str, str]]) -> None:
        """Answer question after question."""
        for question, text in talk:
            self.answer(question, text)

    @property
    def pid(self) -> int:
        """Of the program."""
        return self._program.pid

    def end(self, timeout_s: float = 60.0) -> tuple[int, str]:
        """Return the exit code and stdout."""
        deadline = time.monotonic() + scaled(timeout_s)
        while self._read(deadline):
            pass
        out, _ = self._program.communicate(timeout=scaled(timeout_s))
        os.close(self._master)
        return self._program.returncode, out.decode()

    def _read(self, deadline: float) -> bool:
        """Take in what the program says; False once it has ended or time is up."""
        while time.monotonic() < deadline:
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    data = os.read(self._master, 65536)
                except OSError:  # the other end is closed
                    return False
                self.said += data.decode(errors="replace")
                return bool(data)
        return False
