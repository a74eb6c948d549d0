"""The raftlog program: serve one node, and ask a running one.

    raftlog serve --config FILE
    raftlog check-config --config FILE
    raftlog restore --config FILE                        from the bucket into an empty data folder
    raftlog status|snapshot [--admin HOST:PORT]
    raftlog add-node ID --kafka A --peer A --node-admin A [--learner] [--admin HOST:PORT]
    raftlog remove-node ID | transfer ID [--admin HOST:PORT]

Data goes to stdout as JSON, everything else to stderr. Exit: 0 done, 1 the node said no, 64 bad usage or
config, 65 damaged data, 69 the node cannot be reached, 74 the disk refuses.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import json
import logging
import os
import resource
import signal
import sys
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from raftlog.config import NodeConfig, load
from raftlog.errors import ConfigError, RaftlogError

SECONDS_MAX = 86_400.0
UNSAFE_NO_SYNC = "RAFTLOG_UNSAFE_NO_FSYNC"
"""Set to 1, nothing is synced: power loss then loses acked messages. Only for tests that show just that."""

FILE_BYTES_MAX = "RAFTLOG_TEST_FILE_BYTES_MAX"
"""No file may grow beyond so many bytes: a full disk, for tests, without filling one."""


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return its exit code."""
    parser = _parser()
    try:
        options = parser.parse_args(arguments)
    except SystemExit as stop:
        return 0 if stop.code == 0 else 64
    logging.basicConfig(
        level=logging.DEBUG if options.verbose else logging.INFO,
        format="%(asctime)s.%(msecs)03d %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    try:
        return int(options.run(options))
    except ModuleNotFoundError as error:
        print(f"raftlog: a package that it needs is not installed: {error.name}", file=sys.stderr)
        print("hint: install Outlast with its extra raftlog: outlast[raftlog]", file=sys.stderr)
        return 64
    except RaftlogError as error:
        print(f"raftlog: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        return error.exit_code


def _seconds(text: str) -> float:
    """Return a time-out in seconds. Raises ValueError for none that a socket takes."""
    seconds = float(text)
    if not 0 < seconds <= SECONDS_MAX:
        raise ValueError
    return seconds


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="raftlog", description="A Raft-replicated log that speaks Kafka.")
    parser.add_argument("-v", "--verbose", action="store_true")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, run: Any, text: str) -> argparse.ArgumentParser:
        subparser = commands.add_parser(name, help=text, description=text)
        subparser.set_defaults(run=run)
        return subparser

    for name, run, text in (
        ("serve", _serve, "run one node until SIGTERM"),
        ("check-config", _check_config, "read a config file and print its effective settings"),
        ("restore", _restore, "restore the newest snapshot from the bucket into an empty data folder"),
    ):
        command(name, run, text).add_argument("--config", type=Path, required=True, metavar="FILE")
    asking = [
        command("status", _ask("GET", "/status"), "show a node's status"),
        command("snapshot", _ask("POST", "/snapshot"), "take a snapshot now"),
        command("add-node", _add_node, "add a node that runs with join = true"),
        command("remove-node", _ask("DELETE", "/members/{id}"), "remove a node"),
        command("transfer", _ask("POST", "/transfer/{id}"), "transfer leadership to a node"),
    ]
    for asker in asking:
        asker.add_argument(
            "--admin", default="127.0.0.1:8080", metavar="HOST:PORT", help="a node's admin address"
        )
        asker.add_argument("--timeout", type=_seconds, default=30.0, metavar="S")
    for asker in asking[2:]:
        asker.add_argument("id", type=int)
    asking[2].add_argument("--kafka", required=True, metavar="HOST:PORT")
    asking[2].add_argument("--peer", required=True, metavar="HOST:PORT")
    asking[2].add_argument("--node-admin", required=True, metavar="HOST:PORT")
    asking[2].add_argument(
        "--published",
        default="",
        metavar="HOST:PORT",
        help="its Kafka address for clients outside its network",
    )
    asking[2].add_argument(
        "--learner", action="store_true", help="add it as a learner, which receives the log without voting"
    )
    return parser


# --- serving ------------------------------------------------------------------------------------------------


def _serve(options: argparse.Namespace) -> int:
    config = load(options.config)
    if FILE_BYTES_MAX in os.environ:
        limit = int(os.environ[FILE_BYTES_MAX])
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        import uvloop
    except ImportError:
        return asyncio.run(_run(config))
    return uvloop.run(_run(config))


async def _run(config: NodeConfig) -> int:
    from raftlog.admin.api import AdminApi
    from raftlog.admin.http import HttpServer
    from raftlog.kafka.broker import KafkaBroker
    from raftlog.kafka.server import KafkaServer
    from raftlog.node.node import Node

    node = Node(config, unsafe_no_sync=os.environ.get(UNSAFE_NO_SYNC) == "1")
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, node.stopped.set)
    await node.start()
    # What a node makes is freed by counting; the collector only looks for cycles, and there are next to none.
    gc.collect()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    broker = KafkaBroker(node)
    listeners = [KafkaServer(broker)]
    if config.kafka.published_listen:
        listeners.append(KafkaServer(broker.published()))
    http = HttpServer(config.own.admin, AdminApi(node, broker).handle)
    try:
        try:
            for listener in listeners:
                await listener.start()
            await http.start()
        except OSError as error:
            raise ConfigError(f"cannot listen: {error}") from error
        await node.stopped.wait()
    finally:
        await node.stop()
        for listener in listeners:
            await listener.close()
        await http.close()
    if node.failure is not None:
        raise node.failure
    return 0


def _check_config(options: argparse.Namespace) -> int:
    print(load(options.config).model_dump_json(indent=2))
    return 0


def _restore(options: argparse.Namespace) -> int:
    from raftlog.snapshot.bucket import Bucket
    from raftlog.snapshot.files import SnapshotFolder

    config = load(options.config)
    if config.object_store.backend != "s3":
        raise ConfigError(
            f'{options.config}: object_store.backend is "none": there is no bucket to restore from'
        )
    if config.data_dir.exists() and any(config.data_dir.iterdir()):
        raise ConfigError(f"{config.data_dir} is not empty", hint="restore only into an empty data folder")
    settings = config.snapshot
    bucket = Bucket(config.object_store, settings.compression)
    snapshot = bucket.newest()
    if snapshot is None:
        raise ConfigError(f"{options.config}: the bucket holds no snapshot")
    bucket.download(snapshot, config.data_dir / "topics")
    folder = SnapshotFolder(
        config.data_dir / "snapshots", keep=settings.retention_count, codec=settings.compression
    )
    folder.save(snapshot)
    print(json.dumps({"snapshot_index": snapshot.point.index}))
    return 0


# --- asking -------------------------------------------------------------------------------------------------


def _ask(method: str, path: str) -> Any:
    def run(options: argparse.Namespace) -> int:
        return _call(options, method, path.format(id=getattr(options, "id", "")))

    return run


def _add_node(options: argparse.Namespace) -> int:
    body = {
        "kafka": options.kafka,
        "peer": options.peer,
        "admin": options.node_admin,
        "published": options.published,
        "learner": options.learner,
    }
    return _call(options, "POST", f"/members/{options.id}", json.dumps(body).encode())


def _call(options: argparse.Namespace, method: str, path: str, body: bytes | None = None) -> int:
    """Ask a node, and once more the leader that it names."""
    admin = options.admin
    for _ in range(2):
        request = Request(f"http://{admin}{path}", data=body, method=method)
        try:
            with urlopen(request, timeout=options.timeout) as response:
                print(response.read().decode().strip())
                return 0
        except HTTPError as error:
            answer = error.read().decode(errors="replace").strip()
            leader = None
            with contextlib.suppress(ValueError, AttributeError):
                leader = json.loads(answer).get("leader_admin")
            if error.code != 421 or not leader or leader == admin:
                print(f"raftlog: {admin}: {answer}", file=sys.stderr)
                return 1
            admin = leader
        except (URLError, HTTPException, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            print(f"raftlog: cannot reach {admin}: {reason}", file=sys.stderr)
            return 69
    return 1
