"""Work that the page has asked for: each is the command line's own command, in a process of its own.

So the page can do nothing that the command line can't, says which command it runs, and neither waits for it nor is
slowed by it. Stopping one asks it to end as Ctrl-C does: it heals and removes what it made.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import shlex
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

from outlast.clock import wall_ms
from outlast.errors import ConfigError
from outlast.history.history import JSON
from outlast.pace import scaled

RUNNING_MAX: Final = 8
KEPT_MAX: Final = 50
LINE_CHARS_MAX: Final = 400
LINE_BYTES_MAX: Final = 16 * 1024 * 1024
END_TIMEOUT_S: Final = 60.0
INTERRUPTED: Final = 130


@dataclass(slots=True)
class CommandJob:
    """One command. lab: the lab it is about, "" for one that makes its own. said: its newest line. code: None while
    it runs. verdict, store: of a drill that has ended."""

    id: str
    what: str
    lab: str
    command: str
    began_ms: int
    said: str = ""
    code: int | None = None
    ended_ms: int | None = None
    verdict: str | None = None
    run: str | None = None
    error: str = ""

    def document(self) -> dict[str, JSON]:
        """Return it as JSON."""
        document: dict[str, JSON] = asdict(self)
        return document


class JobList:
    """All of them. changed: is called with a job whenever it is another than before."""

    def __init__(self, changed: Callable[[CommandJob], None]) -> None:
        self._changed = changed
        self._jobs: dict[str, CommandJob] = {}
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def all(self) -> list[CommandJob]:
        """Return the jobs, the newest first."""
        return list(self._jobs.values())[::-1]

    def job(self, ident: str) -> CommandJob | None:
        """Return a job by its id."""
        return self._jobs.get(ident)

    async def start(self, what: str, lab: str, words: Sequence[str]) -> CommandJob:
        """Start ``outlast WORDS --json`` and return its job. Raises ConfigError when too many run."""
        if len(self._processes) >= RUNNING_MAX:
            raise ConfigError(
                f"{RUNNING_MAX} commands are already running", hint="wait for one to end, or stop one"
            )
        job = CommandJob(secrets.token_hex(4), what, lab, shlex.join(["outlast", *words]), wall_ms())
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "outlast.cli.main", words[0], "--json", *words[1:]),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_BYTES_MAX,
            start_new_session=True,  # a Ctrl-C meant for us must not reach it before we have asked it to end
        )
        self._jobs[job.id] = job
        self._processes[job.id] = process
        for old in list(self._jobs)[:-KEPT_MAX]:
            if self._jobs[old].code is not None:
                del self._jobs[old]
        task = asyncio.create_task(self._follow(job, process))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._changed(job)
        return job

    def stop(self, ident: str) -> bool:
        """Ask a job to end; False when there is no such job that runs."""
        process = self._processes.get(ident)
        if process is None:
            return False
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        return True

    async def end(self) -> None:
        """Ask all jobs to end, and wait until they have; who does not in END_TIMEOUT_S is killed."""
        for ident in list(self._processes):
            self.stop(ident)
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=scaled(END_TIMEOUT_S))
        for process in self._processes.values():
            with contextlib.suppress(ProcessLookupError):
                process.kill()

    async def _follow(self, job: CommandJob, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        out, _ = await asyncio.gather(process.stdout.read(), self._listen(job, process.stderr))
        job.code = await process.wait()
        job.ended_ms = wall_ms()
        del self._processes[job.id]
        with contextlib.suppress(ValueError):
            said = json.loads(out)
            if isinstance(said, dict):
                job.verdict = said.get("verdict") if isinstance(said.get("verdict"), str) else None
                store, evidence = said.get("store"), said.get("evidence")
                if isinstance(evidence, str):
                    job.said = evidence[:LINE_CHARS_MAX]
                job.run = store.rsplit("/", 1)[-1] if isinstance(store, str) else None
        self._changed(job)

    async def _listen(self, job: CommandJob, lines: asyncio.StreamReader) -> None:
        """Keep the newest line that a command says of its progress, and its error."""
        while line := await lines.readline():
            text = line.decode(errors="replace").strip()[:LINE_CHARS_MAX]
            if not text:
                continue
            if text.lower().startswith("error: "):
                job.error = text[len("error: ") :]
            job.said = text
            self._changed(job)
