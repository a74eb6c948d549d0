"""Hands messages from what is watched to whoever looks; nothing is watched while nobody does."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

from outlast.clusters import lifecycle
from outlast.history.history import JSON
from outlast.hosts.state import runs_folder
from outlast.web.jobs import CommandJob, JobList
from outlast.web.lab_watch import LabWatch
from outlast.web.run_index import RunIndex

WAITING_MAX: Final = 500
"""Messages that wait for one slow reader; with more its stream ends, and its page begins anew."""

LISTS_S: Final = 1.0
QUIET_S: Final = 15.0
LINGER_S: Final = 10.0
"""How long a lab is watched on after the last reader has gone: pages are loaded again."""

Message = tuple[str, str]


def encode_event(kind: str, document: JSON) -> bytes:
    """Return a message as server-sent events have it. Source: the HTML standard, "Server-sent events"."""
    return f"event: {kind}\ndata: {json.dumps(document, separators=(',', ':'))}\n\n".encode()


class Hub:
    """All streams, all watched labs, the list of labs and runs, and the jobs."""

    def __init__(self) -> None:
        self.jobs = JobList(self._job_changed)
        self.runs = RunIndex()
        self._readers: dict[asyncio.Queue[bytes | None], str] = {}
        self._watches: dict[str, tuple[LabWatch, asyncio.Task[None]]] = {}
        self._lists_task: asyncio.Task[None] | None = None
        self._labs: list[str] = []

    async def stream(self, lab: str | None) -> AsyncIterator[bytes]:
        """Yield messages for one page: of one lab, or of the house alone, first of all what there is."""
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(WAITING_MAX)
        self._readers[queue] = lab or ""
        try:
            self._labs = await asyncio.to_thread(_labs)
            watch = self._watched(lab) if lab is not None and lab in self._labs else None
            if self._lists_task is None or self._lists_task.done():
                self._lists_task = asyncio.create_task(self._watch_lists())
            runs = await asyncio.to_thread(self.runs.newest)
            yield encode_event(
                "hello",
                {
                    "labs": list(self._labs),
                    "lab": lab,
                    "runs": list(runs),
                    "jobs": [one.document() for one in self.jobs.all()],
                    "scene": None if watch is None else watch.scene.document(),
                    "figures": [] if watch is None else list(watch.figures),
                    "events": [] if watch is None else list(watch.events),
                },
            )
            while True:
                try:
                    message = await asyncio.wait_for(queue.get(), QUIET_S)
                except TimeoutError:
                    yield b": still here\n\n"
                    continue
                if message is None:
                    return
                yield message
        finally:
            self._readers.pop(queue, None)
            if lab is not None and lab in self._watches and not self._is_read(lab):
                asyncio.get_running_loop().call_later(LINGER_S, self._forget, lab)

    def send(self, lab: str | None, kind: str, document: JSON) -> None:
        """Send a message to all who look at a lab; None to all."""
        message = encode_event(kind, document)
        for queue, about in list(self._readers.items()):
            if lab is not None and about != lab:
                continue
            try:
                queue.put_nowait(message)
            except asyncio.QueueFull:
                self._readers.pop(queue, None)
                while not queue.empty():
                    queue.get_nowait()
                queue.put_nowait(None)

    async def end(self) -> None:
        """End every stream, watch and job."""
        for queue in list(self._readers):
            while not queue.empty():
                queue.get_nowait()
            queue.put_nowait(None)
        tasks = [task for _, task in self._watches.values()]
        tasks += [self._lists_task] if self._lists_task is not None else []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.jobs.end()

    def _watched(self, lab: str) -> LabWatch:
        if lab not in self._watches or self._watches[lab][1].done():
            watch = LabWatch(lab, lambda kind, document: self.send(lab, kind, document))
            self._watches[lab] = (watch, asyncio.create_task(watch.run()))
        return self._watches[lab][0]

    def _is_read(self, lab: str) -> bool:
        return lab in self._readers.values()

    def _forget(self, lab: str) -> None:
        if lab in self._watches and not self._is_read(lab):
            self._watches.pop(lab)[1].cancel()

    def _job_changed(self, job: CommandJob) -> None:
        self.send(None, "job", job.document())

    async def _watch_lists(self) -> None:
        """Tell of labs that come and go, and of new runs, while anybody looks."""
        runs_at = 0.0
        while self._readers:
            labs = await asyncio.to_thread(_labs)
            if labs != self._labs:
                for gone in set(self._labs) - set(labs):
                    if gone in self._watches:
                        self._watches.pop(gone)[1].cancel()
                self._labs = labs
                self.send(None, "labs", list(labs))
            changed = self.runs.changed_at(runs_folder())
            if changed != runs_at:
                runs_at = changed
                self.send(None, "runs", list(await asyncio.to_thread(self.runs.newest)))
            await asyncio.sleep(LISTS_S)


def _labs() -> list[str]:
    return list(lifecycle.labs())
