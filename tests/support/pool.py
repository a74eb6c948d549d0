"""A Pgpool-II and its servers that are only pretended, for tests of what stands before them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from outlast.systems.pgpool.pcp import NodeInfo, PcpError
from outlast.systems.pgpool.rest.balancer import ServerState


class FakePool:
    """Three backends; the first leads. What is asked of it is written to asked."""

    def __init__(self, *, fences: bool = True) -> None:
        self.alive = True
        self.fences = fences
        self.asked: list[str] = []
        self.settings = {"load_balance_mode": "on", "use_watchdog": "off", "recovery_1st_stage_command": ""}
        self._nodes = {
            number: NodeInfo(number, f"10.0.0.{number}", 5432, "up", "up", role, role, 0.33, 0)
            for number, role in enumerate(("primary", "standby", "standby"))
        }
        self.writable = {0}
        self.down: set[int] = set()

    # what is asked over PCP

    def _answer(self, words: str) -> None:
        if not self.alive:
            raise PcpError("connection refused")
        self.asked.append(words)

    async def nodes(self) -> tuple[NodeInfo, ...]:
        self._answer("nodes")
        return tuple(self._nodes.values())

    async def attach(self, number: int) -> None:
        self._answer(f"attach {number}")
        self._nodes[number] = replace(self._nodes[number], status="up")

    async def detach(self, number: int) -> None:
        self._answer(f"detach {number}")
        self._nodes[number] = replace(self._nodes[number], status="down")
        if number in self.writable:
            self._lead(next(other for other in self._nodes if other != number))

    async def promote(self, number: int, *, switchover: bool) -> None:
        self._answer(f"promote {number} {switchover}")
        self._lead(number)

    def _lead(self, number: int) -> None:
        self.writable = {number} if self.fences else {*self.writable, number}
        for other, one in self._nodes.items():
            role = "primary" if other == number else "standby"
            self._nodes[other] = replace(one, status="up", role=role, pg_role=role)

    async def recover(self, number: int) -> None:
        self._answer(f"recover {number}")
        raise PcpError("recovery refused")

    async def process_info(self, pid: int | None = None) -> tuple[dict[str, str], ...]:
        self._answer("processes")
        return ({"Database": "appdb", "PID": "7"}, {"Database": "appdb", "PID": "7"})

    async def pool_status(self) -> dict[str, str]:
        self._answer("settings")
        return self.settings

    async def health_check_stats(self, number: int) -> dict[str, str]:
        self._answer(f"stats {number}")
        return {"Total Count": "3"}

    async def watchdog_info(self) -> dict[str, str]:
        self._answer("watchdog")
        return {"Quorum state": "QUORUM EXIST"}

    async def reload(self) -> None:
        self._answer("reload")

    async def stop(self, mode: str = "fast") -> None:
        self._answer(f"stop {mode}")
        self.alive = False

    # what the servers say

    def names(self) -> Mapping[int, str]:
        return {number: f"pg-node-{number + 1}" for number in self._nodes}

    async def states(self) -> Mapping[int, ServerState]:
        return {
            number: ServerState(False, None, None, None)
            if number in self.down
            else ServerState(True, number in self.writable, 1, "0/3000148")
            for number in self._nodes
        }
