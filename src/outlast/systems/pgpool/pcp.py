"""PCP, by which Pgpool-II is administered: its own tools, run on the balancer's host.

The password stands in a file (PCPPASSFILE), never in argv. A call takes about 0.1 s. Source: Pgpool-II manual,
"PCP commands".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from outlast.errors import ClusterError, HostError
from outlast.hosts.base import Host, Program
from outlast.systems.pgpool.settings import PCP_PASSFILE, PCP_PORT, PCP_USER
from outlast.systems.postgres.seed import POSTGRES_UID
from outlast.systems.programs import program

CALL_TIMEOUT_S: Final = 10.0
LONG_TIMEOUT_S: Final = 90.0
_FIELD: Final = re.compile(r"^\s*([A-Za-z][^:]*?)\s*:\s*(.*?)\s*$")


@dataclass(frozen=True, slots=True)
class NodeInfo:
    """A backend as Pgpool-II sees it. status: ``up``, ``down``, ``waiting`` or ``unused``, its own word; pg_status:
    what it last saw of the server; role, pg_role: what it takes it for, and what the server says. lag_bytes: how far
    replication is behind."""

    number: int
    address: str
    port: int
    status: str
    pg_status: str
    role: str
    pg_role: str
    weight: float
    lag_bytes: int

    @property
    def attached(self) -> bool:
        """Whether Pgpool-II leads clients to it."""
        return self.status in ("up", "waiting")


class PcpError(ClusterError):
    """Pgpool-II refused, or did not answer."""


class Pcp:
    """The Pgpool-II on a host. Every method raises PcpError with its words, HostError when the host is off."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def nodes(self) -> tuple[NodeInfo, ...]:
        """Return all backends, in the order of their numbers."""
        said = await self._call("pcp_node_info", "-a", "-v")
        blocks = [block for block in re.split(r"\n(?=\s*Hostname)", said) if "Hostname" in block]
        return tuple(_node_info(number, _fields(block)) for number, block in enumerate(blocks))

    async def node(self, number: int) -> NodeInfo:
        """Return one backend."""
        return _node_info(number, _fields(await self._call("pcp_node_info", "-n", str(number), "-v")))

    async def attach(self, number: int) -> None:
        """Have clients led to a backend again; Pgpool-II does so a moment after it has answered."""
        await self._call("pcp_attach_node", "-n", str(number))

    async def detach(self, number: int, *, gracefully: bool = False) -> None:
        """Have no clients led to a backend; of the primary, that is a failover. gracefully: once all have gone."""
        await self._call("pcp_detach_node", "-n", str(number), *(["-g"] if gracefully else []))

    async def promote(self, number: int, *, switchover: bool) -> None:
        """Take a backend for the primary, with switchover through the failover command; without it Pgpool-II only
        changes its own mind, and two servers take writes."""
        await self._call("pcp_promote_node", "-n", str(number), *(["-s"] if switchover else []))

    async def recover(self, number: int) -> None:
        """Have a backend rebuilt from the primary (online recovery)."""
        await self._call("pcp_recovery_node", "-n", str(number), timeout_s=LONG_TIMEOUT_S)

    async def processes(self) -> tuple[int, ...]:
        """Return the pids of the processes that serve clients."""
        return tuple(int(word) for word in (await self._call("pcp_proc_count")).split() if word.isdigit())

    async def process_info(self, pid: int | None = None) -> tuple[dict[str, str], ...]:
        """Return what the processes (one of them with pid) are doing, field by field as Pgpool-II names them."""
        which = ["-a"] if pid is None else ["-P", str(pid)]
        said = await self._call("pcp_proc_info", *which, "-v")
        blocks = [block for block in re.split(r"\n(?=\s*Database)", said) if ":" in block]
        return tuple(_fields(block) for block in blocks)

    async def pool_status(self) -> dict[str, str]:
        """Return the settings in force, by name."""
        said = await self._call("pcp_pool_status")
        return setting_values(said)

    async def health_check_stats(self, number: int) -> dict[str, str]:
        """Return the counts and times of a backend's health checks, by name."""
        return _fields(await self._call("pcp_health_check_stats", "-n", str(number), "-v"))

    async def watchdog_info(self) -> dict[str, str]:
        """Return what the watchdog says of itself; it must be on."""
        return _fields(await self._call("pcp_watchdog_info", "-v"))

    async def reload(self) -> None:
        """Have the configuration read again."""
        await self._call("pcp_reload_config")

    async def stop(self, mode: str = "fast") -> None:
        """End Pgpool-II; mode: ``smart``, ``fast`` or ``immediate``."""
        await self._call("pcp_stop_pgpool", "-m", mode)

    async def _call(self, tool: str, *words: str, timeout_s: float = CALL_TIMEOUT_S) -> str:
        argv = [program(tool), "-h", "127.0.0.1", "-p", str(PCP_PORT), "-U", PCP_USER, "-w", *words]
        env = {"PCPPASSFILE": str(self._host.folder / PCP_PASSFILE)}
        try:
            done = await self._host.run(
                Program(tool, argv, "log/pcp.log", env=env, uid=POSTGRES_UID), timeout_s=timeout_s
            )
        except TimeoutError as error:
            raise PcpError(str(error)) from error
        except HostError as error:
            raise PcpError(f"the host of {self._host.name} is off: {error.message}") from error
        if done.code != 0:
            raise PcpError(f"{tool}: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
        return done.stdout


def setting_values(text: str) -> dict[str, str]:
    """Return the settings of pcp_pool_status's answer by name; many are empty, and the rest of their line then too."""
    names = re.findall(r"^name[ \t]*:[ \t]*(.*?)[ \t]*$", text, re.MULTILINE)
    values = re.findall(r"^value[ \t]*:[ \t]*(.*?)[ \t]*$", text, re.MULTILINE)
    return dict(zip(names, values, strict=False))


def _fields(text: str) -> dict[str, str]:
    """Return the ``name : value`` lines of a tool's verbose answer."""
    found = (_FIELD.match(line) for line in text.splitlines())
    return {one.group(1): one.group(2) for one in found if one is not None}


def _node_info(number: int, fields: dict[str, str]) -> NodeInfo:
    return NodeInfo(
        number,
        fields.get("Hostname", ""),
        int(fields.get("Port", "0")),
        fields.get("Status Name", ""),
        fields.get("Backend Status Name", ""),
        fields.get("Role", ""),
        fields.get("Backend Role", ""),
        float(fields.get("Weight", "0")),
        int(fields.get("Replication Delay", "0").split(".")[0] or 0),
    )
