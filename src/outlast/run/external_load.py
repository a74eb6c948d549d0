"""A load on a cluster that is not ours: any that speaks the Kafka protocol, or etcd's. Nothing is broken; what clients
saw is recorded as in a lab, read back at the end, judged and stored.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import outlast
from outlast.clock import now_ns, timestamp
from outlast.config import DrillSpec, WorkloadSpec, to_document
from outlast.errors import ClusterError, ConfigError
from outlast.history.history import History
from outlast.history.reading import live_counts, read_ops
from outlast.history.store import RECORDINGS, RunDocument
from outlast.pace import scaled, scaled_deadline_ns
from outlast.run.checks import Terms, make_checkers
from outlast.run.conclude import RunResult, RunStart, judge_and_store
from outlast.run.external_final_read import ExternalFinalRead
from outlast.run.request import RunRequest
from outlast.systems.postgres.server import last_lines
from outlast.workloads import WORKLOADS
from outlast.workloads.base import with_defaults
from outlast.workloads.config import WorkerConfig
from outlast.workloads.protocol_registry import CLIENTS, client_for

PROTOCOLS: Final = tuple(dict.fromkeys(kind for _, kind in CLIENTS))
DEFAULT_PROTOCOL: Final = {"log": "kafka", "kv": "etcd"}
FIRST_ACK_TIMEOUT_S: Final = 20.0
CONNECT_TIMEOUT_S: Final = 5.0
STOP_MARGIN_S: Final = 10.0
POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class ExternalEndpoint:
    """Where to. addresses: ``host:port,host:port``. protocol: one of PROTOCOLS. target: a topic or a prefix of keys,
    "" for one of the run's own."""

    addresses: str
    protocol: str
    target: str = ""


async def load_external(
    endpoint: ExternalEndpoint, load: WorkloadSpec, duration_s: float, request: RunRequest
) -> RunResult:
    """Drive a load for duration_s, read it back, judge and store it in a folder that is made once the cluster answered.

    Raises ConfigError for what cannot be loaded so and for a target that is not empty, ClusterError when the cluster
    is not reached, acknowledges nothing in time, or cannot be read back at all.
    """
    config = _config(endpoint, load, request.seed)
    began_ns, started = now_ns(), timestamp()
    request.say(f"connecting to {endpoint.addresses}")
    await _reach(config)
    if any(len(values) for values in (await ExternalFinalRead(config).read()).values.values()):
        raise ConfigError(
            f"{config.target} holds messages already", hint="name one that is new, or none", key="--topic"
        )
    start = RunStart(request.new_folder(f"load-{load.name}"), began_ns, started)
    folder = start.folder
    config = replace(config, ops_folder=str(folder / RECORDINGS))
    request.say(f"load for {duration_s:g} s")
    start_ns = await _drive(config, folder, duration_s)
    end_ns = now_ns()
    request.say("reading everything back")
    final = await ExternalFinalRead(config).read()
    request.say("judging the history")
    history = History(await asyncio.to_thread(read_ops, folder / RECORDINGS), (), (), final, start_ns, end_ns)
    drill = DrillSpec(
        name=f"load-{load.name}",
        title=f"Load: {load.name} on {endpoint.addresses}, and no fault",
        workload={load.name: load},
        duration_s=duration_s,
        checks={"acked_lost": 0, "outage_s": duration_s, "replicas_equal": False},
    )
    checkers = make_checkers(Terms(drill, duration_s, 0, {}))
    return await judge_and_store(history, _document(endpoint, config, drill, request, start), checkers, start)


def _document(
    endpoint: ExternalEndpoint, config: WorkerConfig, drill: DrillSpec, request: RunRequest, start: RunStart
) -> RunDocument:
    return RunDocument(
        name=drill.name,
        system=endpoint.protocol,
        profile="external",
        seed=request.seed,
        replay=request.replay,
        started=start.started,
        drill=to_document(drill),
        versions={"outlast": outlast.__version__},
        notes={
            "title": drill.title,
            "sync": "acks=all" if endpoint.protocol == "kafka" else "majority",
            "duration_s": None,
            "rejoin_s": None,
            "model_s": drill.duration_s,
            "model": "no fault is injected",
            "addresses": endpoint.addresses,
            "target": config.target,
        },
    )


def _config(endpoint: ExternalEndpoint, load: WorkloadSpec, seed: int) -> WorkerConfig:
    if (load.name, endpoint.protocol) not in CLIENTS:
        choices = ", ".join(f"{name} over {kind}" for name, kind in CLIENTS)
        raise ConfigError(
            f"{load.name} does not speak {endpoint.protocol}",
            key="--bootstrap",
            hint=f"choose from: {choices}",
        )
    return WorkerConfig(
        name=load.name,
        ops_folder="",
        dsn=endpoint.addresses,
        clients=load.clients.follow,
        workload=load.name,
        seed=seed,
        rate_per_s=load.rate_per_s,
        params=with_defaults(WORKLOADS[load.name], load.params),
        epoch_ns=now_ns(),
        transport=endpoint.protocol,
        target=endpoint.target or f"outlast-{load.name}-{now_ns():x}",
    )


async def _reach(config: WorkerConfig) -> None:
    try:
        client = client_for(config, 0)
    except ConfigError as error:
        raise ConfigError(error.reason, key="--bootstrap", hint="HOST:PORT, several with commas") from error
    trouble = ""
    deadline = scaled_deadline_ns(CONNECT_TIMEOUT_S)
    while now_ns() < deadline:
        try:
            async with asyncio.timeout(scaled(CONNECT_TIMEOUT_S) / 2):
                await client.connect()
        except (OSError, TimeoutError) as error:
            trouble = str(error) or "no answer"
            await asyncio.sleep(4 * POLL_S)
        else:
            client.close()
            return
    raise ClusterError(f"{config.dsn} cannot be reached: {trouble}")


async def _drive(config: WorkerConfig, folder: Path, duration_s: float) -> int:
    """Run the worker for duration_s from its first acknowledgement; returns when that was, monotonic ns."""
    (folder / RECORDINGS).mkdir(parents=True, exist_ok=True)
    path, log = folder / "worker.json", folder / "worker.log"
    config.write(path)
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "outlast.workloads.worker", str(path), stdout=out, stderr=out
        )
    try:
        deadline = scaled_deadline_ns(FIRST_ACK_TIMEOUT_S)
        while not any(counts.ok for counts in live_counts(folder / RECORDINGS)):
            if now_ns() > deadline or process.returncode is not None:
                raise ClusterError(
                    f"nothing was acknowledged in {scaled(FIRST_ACK_TIMEOUT_S):g} s; {last_lines(log)}".rstrip(
                        "; "
                    )
                )
            await asyncio.sleep(POLL_S)
        start_ns = now_ns()
        await asyncio.sleep(duration_s)
        return start_ns
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(config.drain_s + scaled(STOP_MARGIN_S)):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
