"""Faults that go on because a program on the target's own host keeps them going (see host_agents.py)."""

from __future__ import annotations

import signal
from abc import abstractmethod
from collections.abc import Mapping
from typing import Final

from outlast.errors import HostError
from outlast.faults.base import Fault, Injection, Mechanism
from outlast.faults.host_state import bring_back
from outlast.history.history import JSON
from outlast.hosts.base import Host, Program
from outlast.systems.base import Cluster
from outlast.systems.wait import wait_for

END_TIMEOUT_S: Final = 5.0
LOG: Final = "log/fault.log"


class AgentFault(Fault):
    """A fault that is a program on each target, from act to heal. details must hold its name under ``agent``.

    The name begins with ``fault:`` and has at most 15 characters, all that the kernel keeps of it.
    """

    mechanism = Mechanism.AGENT

    @abstractmethod
    def words(self, params: Mapping[str, JSON]) -> list[str]:
        """Return the agent's function and its arguments."""

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Start the agents."""
        function, *arguments = self.words(injection.params)
        argv = [f"outlast.faults.host_agents:{function}", *arguments]
        for target in injection.targets:
            await cluster.lab.hosts[target].spawn(
                Program(str(injection.details["agent"]), argv, LOG, module=True, host_time=False)
            )

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """End the agents, which undo what they do, and start what does not run."""
        name = str(injection.details["agent"])
        for target in injection.targets:
            host = cluster.lab.hosts[target]
            if host.is_on:
                await end_agent(host, name)
        await bring_back(cluster, injection.targets)


async def agents(host: Host, name: str) -> list[int]:
    """Return the pids of an agent on a host."""
    return [
        process.pid
        for process in await host.processes()
        if process.name == name and process.state not in "ZX"
    ]


async def end_agent(host: Host, name: str) -> None:
    """Have an agent undo what it does and end. Raises HostError when it does not."""
    await host.signal(signal.SIGCONT, pids=await agents(host, name))  # another fault may have stopped it
    await host.signal(signal.SIGTERM, pids=await agents(host, name))

    async def left() -> str:
        return ", ".join(map(str, await agents(host, name)))

    try:
        await wait_for(left, END_TIMEOUT_S, f"{name} on {host.name} to end")
    except Exception as error:
        raise HostError(str(error)) from error
