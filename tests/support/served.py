"""A running ``outlast serve``, and a way to ask it."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from program import command

from outlast.pace import scaled

END_S = 30


@dataclass
class Served:
    """A running ``outlast serve`` with a lab called ``lab``. state: its state folder; log: all that it said."""

    url: str
    token: str
    state: Path
    log: Path
    pid: int

    def ask(self, path: str, body: object = None, **headers: str) -> tuple[int, Any]:
        """Ask the API from outside any browser."""
        data = None if body is None else json.dumps(body).encode()
        sent = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json", **headers}
        request = urllib.request.Request(self.url + path, data, sent)
        try:
            with urllib.request.urlopen(request, timeout=scaled(20)) as answer:
                return answer.status, json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            return error.code, json.loads(error.read() or b"null")


@contextlib.contextmanager
def serving(state: Path, *words: str) -> Iterator[Served]:
    log = state / "serve.log"
    with log.open("w") as said:
        process = subprocess.Popen(
            command("serve", "--port", "0", "--json", *words), stdout=subprocess.PIPE, stderr=said, text=True
        )
        assert process.stdout is not None
        try:
            first = json.loads(process.stdout.readline())
            yield Served(first["url"], first["token"], state, log, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(END_S) == 0
