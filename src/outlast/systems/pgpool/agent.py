"""The program on each node that does there what Pgpool-II's commands decide on the balancer's host.

Pgpool-II brings no such program: its manual's examples log in over SSH. This one listens on the node's address in the
lab and takes one JSON line a connection: {"token", "do": state | fence | promote | repoint | follow | waits, …}. It
answers with one line. It never decides anything.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from outlast.errors import ClusterError, OutlastError
from outlast.hosts.netns.host import NetnsHost
from outlast.systems.pgpool.settings import AGENT_PORT
from outlast.systems.postgres import standby_server
from outlast.systems.postgres.install import PostgresInstall
from outlast.systems.postgres.server import PostgresServer
from outlast.systems.postgres.standby_server import ServerConfig

CONFIG: Final = "agent.json"
PROCESS: Final = "agent"
LOG: Final = "log/agent.log"
LINE_BYTES_MAX: Final = 65536
ASK_TIMEOUT_S: Final = 2.0
STOP_TIMEOUT_S: Final = 3.0
PROMOTE_TIMEOUT_S: Final = 30.0

_STATE: Final = (
    "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() "
    "THEN coalesce(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0') "
    "ELSE pg_current_wal_lsn() END, "
    "coalesce((SELECT received_tli FROM pg_stat_wal_receiver), (SELECT timeline_id FROM pg_control_checkpoint()))"
)


class Agent:
    """One node's agent. config: what its file says, read anew for every order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = asyncio.Lock()

    async def serve(self) -> None:
        """Answer for ever."""
        config = self._config()
        server = await asyncio.start_server(
            self._on_connection, config["address"], AGENT_PORT, limit=LINE_BYTES_MAX
        )
        await server.serve_forever()

    def _config(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self._folder / CONFIG).read_text())
        return found

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            order = json.loads(await reader.readline())
            config = self._config()
            if not hmac.compare_digest(str(order.get("token")), config["token"]):
                answer: Mapping[str, object] = {"error": "the token is wrong"}
            else:
                answer = await self._obey(order, config)
        except (OutlastError, OSError, TimeoutError, ValueError) as error:
            answer = {"error": str(error)}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()
        writer.close()

    async def _obey(self, order: Mapping[str, Any], document: Mapping[str, Any]) -> Mapping[str, object]:
        host = NetnsHost(
            self._folder.parent.parent, document["name"], document["address"], document["prefix"], is_on=True
        )
        install = PostgresInstall(document["version"], Path(document["bin_dir"]), document["source"])
        parameters = dict(document["parameters"])
        if "standby_names" in order:
            parameters["synchronous_standby_names"] = str(order["standby_names"])
        config = ServerConfig(PostgresServer(host, install), parameters, document["hba"])
        what = order.get("do")
        if what == "state":
            return await state(config.server)
        async with self._lock:
            match what:
                case "fence":
                    await fence(config.server)
                case "promote":
                    await standby_server.configure(config, str(order["old"]))
                    await config.server.reload()
                    await config.server.promote(PROMOTE_TIMEOUT_S)
                case "follow":
                    await follow(config, str(order["primary"]))
                case "repoint":
                    await standby_server.repoint(config, str(order["primary"]))
                case "waits":
                    await standby_server.configure(config, None)
                    await config.server.reload()
                case _:
                    raise ValueError(f"there is no order {what!r}")
        return {"done": what}


async def state(server: PostgresServer) -> Mapping[str, object]:
    """Return what the server says of itself; {"running": false} when it does not answer."""
    try:
        said = await server.ask("127.0.0.1", _STATE, ASK_TIMEOUT_S)
    except (ClusterError, TimeoutError):
        return {"running": False}
    in_recovery, lsn, timeline = said.split("|")
    return {"running": True, "in_recovery": in_recovery == "t", "lsn": lsn, "timeline": int(timeline)}


async def fence(server: PostgresServer) -> None:
    """End the server, in order when it obeys, so that its standbys get all of it; else at once."""
    if (await state(server))["running"]:
        try:
            await server.stop(STOP_TIMEOUT_S)
        except (ClusterError, TimeoutError) as error:
            print(f"it does not stop in order: {error}", flush=True)
    while await server.pids():
        await server.host.signal(signal.SIGKILL, pids=await server.pids(), tree=True)
        await asyncio.sleep(0.01)
    print("the server is stopped: it is no primary any more", flush=True)


async def follow(config: ServerConfig, primary: str) -> None:
    """Have the server follow the one at address primary: told anew when it is a running standby, else rejoined."""
    server = config.server
    if await server.pids() and server.is_standby:
        try:
            await standby_server.repoint(config, primary)
            await standby_server.streams(config)
            return
        except ClusterError as error:
            print(f"it does not follow as it is: {error}", flush=True)
    await standby_server.rejoin(config, primary, lambda words: print(words, flush=True))


def main() -> int:
    """Serve. argv[1] is the host's folder."""
    asyncio.run(Agent(Path(sys.argv[1])).serve())
    return 0
