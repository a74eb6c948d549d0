"""The program that serves a balancer's REST API on the balancer's host. argv[1] is the host's folder.

Its file (mode 0600) holds the password and the secret that signs tokens; a new secret each time it is written, so old
tokens end with it. Requests come from anybody who reaches the port, so it has no more rights than Pgpool-II has.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from outlast import extras
from outlast.errors import OutlastError
from outlast.hosts.base import Host, Program
from outlast.hosts.netns.host import NetnsHost
from outlast.systems.pgpool.pcp import Pcp
from outlast.systems.pgpool.rest.balancer import ServerState
from outlast.systems.pgpool.settings import REST_PORT
from outlast.systems.postgres.seed import POSTGRES_UID

PROCESS: Final = "rest"
LOG: Final = "log/rest.log"
CONFIG: Final = "rest.json"
SERVERS: Final = "failover.json"
"""What the failover commands know of the servers: the same is true for us. See systems/pgpool/command.py."""

REST_USER: Final = "admin"
STATE_TIMEOUT_S: Final = 4.0
LINE_BYTES_MAX: Final = 65536
CLIENTS_MAX: Final = 64
IDLE_S: Final = 5
_NOBODY: Final = ServerState(False, None, None, None)


def unavailable() -> str | None:
    """Return why the API cannot be served here, None when it can."""
    error = extras.missing("web")
    return None if error is None else error.reason


async def write_config(host: Host, password: str, prefix: int) -> None:
    """Write the program's file. prefix: of the lab's network."""
    document = {
        "name": host.name,
        "address": host.address,
        "prefix": prefix,
        "user": REST_USER,
        "password": password,
        "secret": secrets.token_urlsafe(48),
    }
    await host.put(CONFIG, json.dumps(document).encode())


async def start(host: Host) -> None:
    """Start the program on a balancer's host, unless it runs."""
    if any(process.name == PROCESS and process.state != "Z" for process in await host.processes()):
        return
    argv = ["outlast.systems.pgpool.rest.program:main", str(host.folder)]
    await host.spawn(Program(PROCESS, argv, LOG, uid=POSTGRES_UID, module=True))


class AgentServers:
    """The servers, asked through the agent on each node."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / SERVERS

    def names(self) -> Mapping[int, str]:
        """Return the name of each backend, by number."""
        return {int(number): one["name"] for number, one in self._config()["nodes"].items()}

    async def states(self) -> Mapping[int, ServerState]:
        """Return what each server says of itself now, all asked at once."""
        config = self._config()
        numbers = [int(number) for number in config["nodes"]]
        states = await asyncio.gather(
            *(_state(one["address"], config["port"], config["token"]) for one in config["nodes"].values())
        )
        return dict(zip(numbers, states, strict=True))

    def _config(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self._path.read_text())
        return found


async def _state(address: str, port: int, token: str) -> ServerState:
    try:
        async with asyncio.timeout(STATE_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(address, port, limit=LINE_BYTES_MAX)
            try:
                writer.write(json.dumps({"token": token, "do": "state"}).encode() + b"\n")
                await writer.drain()
                said = json.loads(await reader.readline())
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return _NOBODY
    if not said.get("running"):
        return _NOBODY
    return ServerState(True, not said["in_recovery"], said["timeline"], said["lsn"])


async def _serve(folder: Path) -> None:
    import uvicorn

    from outlast.systems.pgpool.rest.app import Login, make_app
    from outlast.systems.pgpool.rest.balancer import Balancer

    config = json.loads((folder / CONFIG).read_text())
    host = NetnsHost(folder.parent.parent, config["name"], config["address"], config["prefix"], is_on=True)
    balancer = Balancer(config["name"], Pcp(host), AgentServers(folder))
    app = make_app(balancer, Login(config["user"], config["password"], config["secret"]))
    settings = uvicorn.Config(
        app,
        host=config["address"],
        port=REST_PORT,
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=CLIENTS_MAX,
        timeout_keep_alive=IDLE_S,
    )
    await uvicorn.Server(settings).serve()


def main() -> int:
    """Serve until told to end."""
    try:
        asyncio.run(_serve(Path(sys.argv[1])))
    except (OutlastError, OSError, KeyError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", flush=True)
        return 1
    return 0
