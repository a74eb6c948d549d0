"""Runs somebody's own load program as one worker of a run, and records what it tells.

    python -m outlast.workloads.own_program CONFIG.json

The program finds its way to the primary in its environment: PGHOST, PGPORT, PGDATABASE, PGUSER, PGPASSFILE,
PGTARGETSESSIONATTRS and PGCONNECT_TIMEOUT for libpq, DATABASE_URL for others. A line of its output that begins with
``ok`` is one operation done, one with ``error`` is one that failed; all other lines are only kept in the log. It is
asked to end with SIGTERM. How it ended is an operation, too.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlencode

from psycopg.conninfo import conninfo_to_dict

from outlast.clock import now_ns
from outlast.errors import ConfigError
from outlast.history.op import NONE, Outcome
from outlast.history.recorder import Recorder
from outlast.workloads import WORKLOADS
from outlast.workloads.base import OwnProgram
from outlast.workloads.config import WorkerConfig

STARTED: Final = "command-started"
ENDED: Final = "command-ended"
AGAIN_S: Final = 0.2
POLL_S: Final = 0.1
LINE_MAX: Final = 65536
_LINE, _LIFE = 0, 1
_PLACES: Final = {
    "host": "PGHOST",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "user": "PGUSER",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
    "connect_timeout": "PGCONNECT_TIMEOUT",
}


def environment(config: WorkerConfig) -> dict[str, str]:
    """Return the variables by which a program finds the database; the password is in a file of mode 0600."""
    given = {key: str(value) for key, value in conninfo_to_dict(config.dsn).items() if value is not None}
    found = {name: given[key] for key, name in _PLACES.items() if key in given}
    hosts = given.get("host", "").split(",")
    ports = given.get("port", "5432").split(",")
    ports = ports * len(hosts) if len(ports) == 1 else ports
    places = ",".join(f"{host}:{port}" for host, port in zip(hosts, ports, strict=True))
    options: dict[str, str] = {
        key: given[key] for key in ("target_session_attrs", "connect_timeout") if key in given
    }
    if config.passfile:
        found["PGPASSFILE"] = config.passfile
        options["passfile"] = config.passfile
    user, database = quote(given.get("user", "")), quote(given.get("dbname", ""))
    found["DATABASE_URL"] = f"postgresql://{user}@{places}/{database}?{urlencode(options, quote_via=quote)}"
    return found


class ProgramWorker:
    """Runs one config's program to its end, or until it is told to stop."""

    def __init__(self, config: WorkerConfig) -> None:
        workload: object = WORKLOADS.get(config.workload)
        if not isinstance(workload, OwnProgram):
            raise ConfigError(f"{config.workload} is no program", key="workload")
        self._workload = workload
        self._config = config
        self._recorder = Recorder(
            Path(config.ops_folder) / config.name, clients=2, first_process=config.first_process
        )
        self._functions = {name: self._recorder.function(name) for name in (config.workload, STARTED, ENDED)}
        self._stopped = False
        self._count = 0
        self._since_ns = now_ns()

    def stop(self) -> None:
        """Ask the program to end."""
        self._stopped = True

    def run(self) -> None:
        """Start the program, listen, and note how it ended; again when it is one that is started again."""
        try:
            while True:
                code, last = self._once()
                if not self._workload.restarts or self._stopped:
                    break
                self._note(_LINE, self._config.workload, Outcome.FAIL, f"it ended with {code}: {last}")
                time.sleep(AGAIN_S)
            good = code == 0 or (self._stopped and code in (-signal.SIGTERM, 128 + signal.SIGTERM))
            words = "" if good else f"exit code {code}: {last}"
            self._note(_LIFE, ENDED, Outcome.OK if good else Outcome.FAIL, words)
        finally:
            self._recorder.close()

    def _once(self) -> tuple[int, str]:
        """Run the program once; returns its exit code and its last words."""
        try:
            process = subprocess.Popen(
                list(self._config.argv),
                env={**os.environ, **environment(self._config)},
                cwd=self._config.folder or None,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            return 127, f"{error.filename or self._config.argv[0]}: {error.strerror}"
        self._note(_LIFE, STARTED, Outcome.OK, "")
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        last, rest, asked_ns = "", b"", 0
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            is_open = True
            while is_open or process.poll() is None:
                if is_open and selector.select(POLL_S):
                    read = process.stdout.read(LINE_MAX)
                    is_open = read != b""
                    *lines, rest = (rest + (read or b"")).split(b"\n")
                    rest = rest[-LINE_MAX:]
                    for line in lines:
                        last = self._heard(line.decode(errors="replace").strip()) or last
                elif not is_open:
                    time.sleep(POLL_S)
                asked_ns = self._ask_to_end(process, asked_ns)
                if process.poll() is not None and not is_open:
                    break
                if process.poll() is not None and asked_ns and now_ns() - asked_ns > 2e9:
                    break  # a child of its own holds the pipe
        return process.wait(), last

    def _ask_to_end(self, process: subprocess.Popen[bytes], asked_ns: int) -> int:
        if not self._stopped or process.poll() is not None:
            return asked_ns or (now_ns() if process.poll() is not None else 0)
        if not asked_ns:
            os.killpg(process.pid, signal.SIGTERM)
            return now_ns()
        if now_ns() - asked_ns > self._config.drain_s * 1e9:
            os.killpg(process.pid, signal.SIGKILL)
        return asked_ns

    def _heard(self, line: str) -> str:
        """Record a line that tells of an operation, and keep every line in the log."""
        print(line, flush=True)
        outcome = self._workload.heard(line)
        if outcome is not None:
            self._note(_LINE, self._config.workload, outcome, line if outcome is not Outcome.OK else "")
        return line

    def _note(self, client: int, f: str, outcome: Outcome, error: str) -> None:
        """Record an operation that ended now and began when the one before it had ended."""
        now = now_ns()
        self._count += 1
        value = self._count if client == _LINE else NONE
        began = min(self._since_ns + 1, now) if client == _LINE else now - 1
        self._recorder.invoke(client, self._functions[f], value, began)
        self._recorder.complete(client, self._recorder.tag(outcome, error=error), 0, now)
        self._since_ns = now


def main(arguments: list[str]) -> int:
    """Run the program of one config file; SIGTERM and SIGINT end it in good order."""
    config = WorkerConfig.read(Path(arguments[0]))
    runner = ProgramWorker(config)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: runner.stop())
    runner.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
