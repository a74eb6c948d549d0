"""What a failing test leaves behind for whoever looks at it: logs, what was injected, recorded histories."""

from __future__ import annotations

import contextlib
import fcntl
import json
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from outlast.api.lab_cluster import OwnCluster
from outlast.api.recording import Recording
from outlast.clock import deadline_ns, now_ns, timestamp
from outlast.clusters import lifecycle
from outlast.config import to_document
from outlast.errors import ClusterError, OutlastError
from outlast.hosts.state import new_run_folder

LOG_BYTES_MAX: Final = 5 * 1024**2
NAME_MAX: Final = 80
LOCK: Final = "tests.lock"
POLL_S: Final = 0.2


def figures(recordings: Sequence[Recording]) -> list[tuple[str, object]]:
    """Return the figures of judged loads as a test's properties, which pytest writes into its JUnit file.

    As text: pytest-xdist carries nothing but plain values from its workers.
    """
    found: list[tuple[str, object]] = []
    for one in recordings:
        if one.is_judged:
            result = one.result
            figures = {
                "verdict": result.verdict,
                "acked": result.acked,
                "acked_lost": result.acked_lost,
                "outage_s": result.outage_s,
                "store": result.store,
            }
            found += [(f"outlast_{name}", str(value)) for name, value in figures.items() if value is not None]
    return found


def keep(cluster: OwnCluster, test: str, where: Path | None, injected: int, recordings: int) -> list[str]:
    """Copy a cluster's logs and state, and its loads' histories, and return lines that say what is where.

    where: a folder of the person's, which gets all of it; None: below Outlast's own runs, where the histories are
    already. injected, recordings: how many of both were there before this test. Never raises for what can't be copied:
    the test's own failure is what matters.
    """
    name = re.sub(r"[^A-Za-z0-9]+", "-", test).strip("-")[-NAME_MAX:]
    lines = [f"cluster   {cluster.name}: {cluster.spec.system}, {len(cluster.spec.nodes)} nodes, "
             f"profile {cluster.spec.profile}, sync {cluster.spec.sync}"]  # fmt: skip
    lines += [f"fault     {one}" for one in cluster.injected[injected:]]
    try:
        folder = new_run_folder(f"test-{name}") if where is None else where / f"{timestamp()}-{name}"
        folder.mkdir(parents=True, exist_ok=True)
        for node, logs in cluster.logs().items():
            for log, path in logs.items():
                with contextlib.suppress(OSError):
                    _copy_end(path, folder / f"{node}-{re.sub(r'[^A-Za-z0-9.-]+', '-', log)}.log")
        (folder / "cluster.json").write_text(json.dumps(to_document(cluster.spec), indent=2))
        with contextlib.suppress(OutlastError):
            (folder / "status.json").write_text(json.dumps(asdict(cluster.view()), indent=2))
        lines.append(f"logs      {folder}")
        for one in cluster.recordings[recordings:]:
            lines.append(_recording(one, folder if where is not None else None))
    except (OutlastError, OSError) as error:
        lines.append(f"logs      could not be kept: {error}")
    return lines


def _recording(one: Recording, copy_to: Path | None) -> str:
    if not one.is_judged:
        return f"history   {one.folder} (not judged)"
    store = one.folder
    if copy_to is not None:
        store = copy_to / one.folder.name
        shutil.copytree(one.folder, store, dirs_exist_ok=True)
    result = one.result
    outage = "" if result.outage_s is None else f", outage {result.outage_s} s"
    lost = "" if result.acked_lost is None else f", {result.acked_lost} lost"
    return f"history   {result.verdict}: {result.acked} acked{lost}{outage}; outlast report {store}"


def _copy_end(path: Path, to: Path) -> None:
    """Copy a log, of a long one its end."""
    with path.open("rb") as source, to.open("wb") as target:
        source.seek(max(0, path.stat().st_size - LOG_BYTES_MAX))
        shutil.copyfileobj(source, target)


@contextlib.contextmanager
def exclusive_lab(lab: str, timeout_s: float) -> Iterator[None]:
    """Hold a lab that is up for one test run at a time. Raises ClusterError when another has it for too long."""
    folder = lifecycle.lab_folder(lifecycle.the_lab(lab))
    deadline = deadline_ns(timeout_s)
    with (folder / LOCK).open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if now_ns() > deadline:
                    raise ClusterError(
                        f"waited {timeout_s:g} s for the lab {lab}, which another test run is using",
                        hint="set a longer ha_ready_timeout, or leave out --ha-lab: each run then makes its own",
                    ) from None
                time.sleep(POLL_S)
        yield
