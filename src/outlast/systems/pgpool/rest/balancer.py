"""What the REST API does: each act goes to Pgpool-II by PCP, and what came of it is read on the servers.

Pgpool-II answers before it has acted, and believes what it has decided. So an act returns only when the servers show
it, and a promotion only when exactly one of them takes writes.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from outlast.clock import now_ns, seconds_between
from outlast.errors import ClusterError, HostError
from outlast.pace import scaled, scaled_deadline_ns
from outlast.systems.pgpool.pcp import NodeInfo

MOVE_TIMEOUT_S: Final = 60.0
ATTACH_TIMEOUT_S: Final = 30.0
SETTLE_TIMEOUT_S: Final = 20.0
STOP_TIMEOUT_S: Final = 20.0
POLL_S: Final = 0.1
_OFF: Final = ("", "off", "0")


T = TypeVar("T")


class ApiError(Exception):
    """An act that was not done. status: of HTTP; hint: what to do instead, or None."""

    def __init__(self, status: int, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.hint = hint


@dataclass(frozen=True, slots=True)
class ServerState:
    """What a server says of itself. writable: it is no standby; None while it does not answer."""

    running: bool
    writable: bool | None
    timeline: int | None
    lsn: str | None


@dataclass(frozen=True, slots=True)
class Backend:
    """A backend as Pgpool-II has it, with its server's own word beside."""

    name: str
    pool: NodeInfo
    server: ServerState


class Administration(Protocol):
    """What is asked of Pgpool-II: systems/pgpool/pcp.py has it. Its errors are ClusterError and HostError."""

    async def nodes(self) -> tuple[NodeInfo, ...]:
        """Return its view of all backends."""
        ...

    async def attach(self, number: int) -> None:
        """Have it use a backend again."""
        ...

    async def detach(self, number: int) -> None:
        """Have it use a backend no more."""
        ...

    async def promote(self, number: int, *, switchover: bool) -> None:
        """Have it take a backend for the primary."""
        ...

    async def recover(self, number: int) -> None:
        """Have it copy the primary's data to a backend."""
        ...

    async def process_info(self, pid: int | None = None) -> tuple[dict[str, str], ...]:
        """Return what its processes do, or one of them."""
        ...

    async def pool_status(self) -> dict[str, str]:
        """Return its settings in force."""
        ...

    async def health_check_stats(self, number: int) -> dict[str, str]:
        """Return the figures of a backend's health check."""
        ...

    async def watchdog_info(self) -> dict[str, str]:
        """Return what its watchdog knows."""
        ...

    async def reload(self) -> None:
        """Have it read its settings anew."""
        ...

    async def stop(self, mode: str = "fast") -> None:
        """Stop it."""
        ...


class Servers(Protocol):
    """The servers behind the balancer, asked past it."""

    def names(self) -> Mapping[int, str]:
        """Return the name of each backend, by number."""
        ...

    async def states(self) -> Mapping[int, ServerState]:
        """Return what each server says of itself now."""
        ...


class Balancer:
    """One Pgpool-II and its servers. Acts come one after another."""

    def __init__(self, name: str, pcp: Administration, servers: Servers) -> None:
        self.name = name
        self._pcp = pcp
        self._servers = servers
        self._acting = asyncio.Lock()

    # looking

    async def backends(self) -> tuple[Backend, ...]:
        """Return all backends. Raises ApiError 503 when Pgpool-II does not answer."""
        pool, states = await asyncio.gather(self._asked(self._pcp.nodes()), self._servers.states())
        names = self._servers.names()
        nobody = ServerState(False, None, None, None)
        return tuple(
            Backend(names.get(one.number, one.address), one, states.get(one.number, nobody)) for one in pool
        )

    async def backend(self, number: int) -> Backend:
        """Return one backend. Raises ApiError 404."""
        backends = await self.backends()
        for one in backends:
            if one.pool.number == number:
                return one
        known = ", ".join(str(backend.pool.number) for backend in backends)
        raise ApiError(404, f"there is no node {number}", f"nodes: {known}")

    async def is_running(self) -> bool:
        """Return whether Pgpool-II answers."""
        try:
            await self._pcp.nodes()
        except (ClusterError, HostError):
            return False
        return True

    async def settings(self) -> dict[str, str]:
        """Return the settings in force."""
        return await self._asked(self._pcp.pool_status())

    async def processes(self) -> tuple[dict[str, str], ...]:
        """Return what the processes that serve clients are doing."""
        return await self._asked(self._pcp.process_info())

    async def health_stats(self) -> dict[int, dict[str, str]]:
        """Return the figures of the health checks, by node."""
        nodes = await self._asked(self._pcp.nodes())
        return {node.number: await self._asked(self._pcp.health_check_stats(node.number)) for node in nodes}

    async def watchdog(self) -> dict[str, str] | None:
        """Return what the watchdog says of itself, None when it is off."""
        if (await self.settings()).get("use_watchdog", "off") in _OFF:
            return None
        return await self._asked(self._pcp.watchdog_info())

    # acting

    async def attach(self, number: int) -> bool:
        """Have clients led to a node; returns whether that is new."""
        async with self._acting:
            one = await self.backend(number)
            if not one.server.running:
                raise ApiError(409, f"{one.name} does not answer: clients led to it would fail")
            if one.server.writable and any(
                other.server.writable and other is not one for other in await self.backends()
            ):
                raise ApiError(
                    409, f"{one.name} takes writes beside another node", "make it follow that first"
                )
            if one.pool.attached:
                return False
            await self._asked(self._pcp.attach(number))
            await self._until(
                lambda: self._is_attached(number, True), ATTACH_TIMEOUT_S, f"{one.name} to be attached"
            )
            return True

    async def detach(self, number: int) -> bool:
        """Have no clients led to a node. Returns whether that is new.

        Of the primary, that is a failover, after which Pgpool-II has the old one follow and attaches it as a standby.
        """
        async with self._acting:
            backends = await self.backends()
            one = await self.backend(number)
            if not one.pool.attached:
                return False
            if not any(other.pool.attached and other.pool.number != number for other in backends):
                raise ApiError(409, f"{one.name} is the last node that clients are led to")
            await self._asked(self._pcp.detach(number))
            if one.server.writable:
                await self._until(
                    lambda: self._one_leads(lambda leader: leader != number),
                    MOVE_TIMEOUT_S,
                    "another node to lead",
                )
                await self._settle({other.pool.number for other in backends if other.pool.attached})
            else:
                await self._until(
                    lambda: self._is_attached(number, False), ATTACH_TIMEOUT_S, f"{one.name} to be detached"
                )
            return True

    async def promote(self, number: int) -> float:
        """Make a node the primary and wait until it alone takes writes; returns the seconds that took."""
        async with self._acting:
            one = await self.backend(number)
            if one.server.writable:
                raise ApiError(409, f"{one.name} is the primary already")
            if not one.server.running:
                raise ApiError(409, f"{one.name} does not answer")
            if not one.pool.attached:
                raise ApiError(409, f"{one.name} is {one.pool.status}", "attach it first")
            before = {other.pool.number for other in await self.backends() if other.pool.attached}
            start = now_ns()
            await self._asked(self._pcp.promote(number, switchover=True))
            await self._until(
                lambda: self._one_leads(lambda leader: leader == number),
                MOVE_TIMEOUT_S,
                f"{one.name} alone to take writes",
            )
            took_s = round(seconds_between(start, now_ns()), 3)
            await self._settle(before)
            return took_s

    async def recover(self, number: int) -> None:
        """Have a node rebuilt by Pgpool-II's online recovery, where it is set up."""
        async with self._acting:
            one = await self.backend(number)
            if (await self.settings()).get("recovery_1st_stage_command", "") in _OFF:
                raise ApiError(
                    501,
                    "online recovery is not set up: it needs recovery_1st_stage_command and the pgpool_recovery "
                    "extension on the servers",
                    f"outlast reseed {one.name}",
                )
            if one.server.writable:
                raise ApiError(409, f"{one.name} is the primary: it is what others are rebuilt from")
            await self._asked(self._pcp.recover(number))
            await self._until(
                lambda: self._is_attached(number, True), ATTACH_TIMEOUT_S, f"{one.name} to be attached"
            )

    async def reload(self) -> None:
        """Have the configuration read again; returns once Pgpool-II answers after it."""
        async with self._acting:
            await self._asked(self._pcp.reload())
            await self._asked(self._pcp.nodes())

    async def stop(self, mode: str) -> None:
        """End Pgpool-II; returns once it does not answer any more."""
        async with self._acting:
            await self._asked(self._pcp.nodes())
            await self._asked(self._pcp.stop(mode))

            async def runs() -> str:
                return "it answers" if await self.is_running() else ""

            await self._until(runs, STOP_TIMEOUT_S, "Pgpool-II to end")

    async def rotate_log(self) -> None:
        """Always refuses here: Pgpool-II takes that order by PCP from a later version on."""
        await self._needs("pcp_log_rotate", "it writes to its host's log/pgpool.log and rotates nothing")

    async def invalidate_cache(self) -> None:
        """Always refuses here: Pgpool-II takes that order by PCP from a later version on."""
        await self._needs("pcp_invalidate_query_cache", "its query cache can only be emptied by a restart")

    async def switch_watchdog(self, on: bool) -> None:
        """Always refuses: the watchdog lives and dies with Pgpool-II."""
        await self._asked(self._pcp.nodes())
        what = "start" if on else "stop"
        raise ApiError(
            501,
            f"Pgpool-II cannot {what} its watchdog while it runs",
            "set use_watchdog in its configuration and restart it",
        )

    # parts

    async def _needs(self, tool: str, otherwise: str) -> None:
        await self._asked(self._pcp.nodes())
        there = "is installed, and not used by this version" if shutil.which(tool) else "does not have it"
        raise ApiError(501, f"there is no order for that: this Pgpool-II {there} ({tool}); {otherwise}")

    async def _asked(self, call: Awaitable[T]) -> T:
        """Return what Pgpool-II answers. Raises ApiError: 503 when it does not answer at all, 502 when it refuses."""
        try:
            return await call
        except (ClusterError, HostError) as error:
            if await self.is_running():
                raise ApiError(502, f"Pgpool-II refused: {error.message}") from error
            raise ApiError(
                503, f"Pgpool-II on {self.name} does not answer: {error.message}", "outlast logs says more"
            ) from error

    async def _is_attached(self, number: int, wanted: bool) -> str:
        one = await self.backend(number)
        return "" if one.pool.attached == wanted else f"Pgpool-II has it {one.pool.status}"

    async def _one_leads(self, wanted: Callable[[int], bool]) -> str:
        """Say what keeps exactly one server, the wanted, from taking writes and being known for it."""
        backends = await self.backends()
        writable = [backend.pool.number for backend in backends if backend.server.writable]
        believed = [backend.pool.number for backend in backends if backend.pool.role == "primary"]
        if len(writable) == 1 and wanted(writable[0]) and believed == writable:
            return ""
        return f"nodes {writable} take writes, and Pgpool-II takes {believed} for the primary"

    async def _settle(self, numbers: set[int]) -> None:
        """Wait, within bounds, until Pgpool-II has had the others follow and attached them again.

        Before that another order would meet nodes that are detached for a moment. One that does not come back is no
        error of the move: the answer shows it.
        """

        async def unmet() -> str:
            attached = {one.pool.number for one in await self.backends() if one.pool.attached}
            return "" if numbers <= attached else f"{numbers - attached} are detached"

        with contextlib.suppress(ApiError):
            await self._until(unmet, SETTLE_TIMEOUT_S, "the others to follow")

    async def _until(self, unmet: Callable[[], Awaitable[str]], timeout_s: float, what: str) -> None:
        deadline = scaled_deadline_ns(timeout_s)
        while True:
            try:
                last = await unmet()
            except ApiError as error:
                last = error.message  # it may be silent for a moment while it fails over
            if not last:
                return
            if now_ns() > deadline:
                raise ApiError(
                    504, f"asked, and waited {scaled(timeout_s):g} s for {what}; last seen: {last}"
                )
            await asyncio.sleep(POLL_S)
