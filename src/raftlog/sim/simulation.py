"""The simulated cluster: nodes in their environment, clients, and the faults that are done to them."""

from __future__ import annotations

from raftlog.core.types import Message
from raftlog.errors import CorruptError
from raftlog.sim.environment import Environment, FaultProfile
from raftlog.sim.invariants import Violation
from raftlog.sim.node import TICK_US, SimNode


class Simulation:
    """A cluster of `voters` nodes and one spare, and everything that happens to it.

    seed: of every choice. profile: how often which fault happens.
    """

    def __init__(self, seed: int, voters: int = 3, profile: FaultProfile = FaultProfile()) -> None:  # noqa: B008 - frozen
        self.seed, self.profile = seed, profile
        self.environment = Environment(seed, voters + 1, profile, self._deliver)
        self.rng, self.after = self.environment.rng, self.environment.after
        self.invariants, self.counts = self.environment.invariants, self.environment.counts
        self.acked = self.environment.acked
        founders = tuple(range(1, voters + 1))
        self.nodes = {
            number: SimNode(self.environment, number, founders) for number in self.environment.disks
        }
        self._proposals = 0
        for node in self.nodes.values():
            node.start()
        self.after(TICK_US, self._propose)
        self.after(TICK_US, self._fault)

    def run(self, seconds: float) -> None:
        """Let simulated time pass. Raises Violation, naming seed and time."""
        environment = self.environment
        try:
            environment.run_until(environment.now_us + int(seconds * 1_000_000))
        except (AssertionError, KeyError, IndexError, CorruptError) as error:
            raise Violation(f"seed {self.seed}, at {environment.now_us / 1e6:.3f} s: {error}") from error

    def settle(self, seconds: float = 20.0) -> None:
        """End all faults and let the cluster come to rest; then nothing acked may be missing anywhere.

        seconds: simulated. Raises Violation.
        """
        self.environment.calm = True
        self.environment.cut.clear()
        for node in self.nodes.values():
            if not node.alive:
                node.start()
        self.run(seconds)
        latest = max(self.nodes.values(), key=lambda node: node.applied)
        applied = {number: self.nodes[number].applied for number in sorted(latest.core.membership.nodes)}
        if len(set(applied.values())) != 1 or min(applied.values()) < self.invariants.highest:
            raise Violation(f"seed {self.seed}: no agreement after {seconds} s of calm: {applied}")
        for payload, index in self.acked.items():
            if self.invariants.chosen[index].data != payload:
                raise Violation(f"seed {self.seed}: acked {payload!r} is not at {index}")

    def _deliver(self, message: Message, state: str) -> None:
        node = self.nodes[message.to]
        if node.alive:
            node.receive(message, state)

    # --- clients ------------------------------------------------------------------------------------------

    def _propose(self) -> None:
        self.after(self.rng.randrange(1, 2 * self.profile.proposal_every_us), self._propose)
        alive = [node for node in self.nodes.values() if node.alive]
        if not alive or self.environment.calm:
            return
        node = self.rng.choice(alive)
        if self.rng.random() < 0.2:
            node.read(self.invariants.highest)
            return
        leaders = [node for node in alive if node.leads]
        self._proposals += 1
        self.rng.choice(leaders or alive).propose(b"m%d" % self._proposals)

    # --- faults -------------------------------------------------------------------------------------------

    def _fault(self) -> None:
        self.after(int(self.rng.expovariate(1 / self.profile.fault_every_s) * 1_000_000) + 1, self._fault)
        if not self.environment.calm:
            name, fault = self.rng.choice(self._FAULTS)
            if self.rng.random() < self.profile.membership:
                name, fault = "change_membership", Simulation._change_membership
            self.counts[name] += 1
            fault(self)

    def _crash(self) -> None:
        node = self.rng.choice(list(self.nodes.values()))
        if node.alive:
            node.crash()
            self.after(self.rng.randrange(10_000, 900_000), node.start_if_down)

    def _crash_all(self) -> None:
        for node in self.nodes.values():
            if node.alive:
                node.crash()
                self.after(self.rng.randrange(10_000, 500_000), node.start_if_down)

    def _partition(self) -> None:
        numbers = list(self.nodes)
        side = {number for number in numbers if self.rng.random() < 0.5}
        self.environment.cut = {(a, b) for a in numbers for b in numbers if (a in side) != (b in side)}
        self.after(self.rng.randrange(50_000, 1_500_000), self.environment.cut.clear)

    def _partition_one_way(self) -> None:
        victim = self.rng.choice(list(self.nodes))
        cut = {(victim, other) for other in self.nodes}
        self.environment.cut = cut if self.rng.random() < 0.5 else {(b, a) for a, b in cut}
        self.after(self.rng.randrange(50_000, 1_000_000), self.environment.cut.clear)

    def _corner_leader(self) -> None:
        """Leave a leader one follower at most, and then kill it: entries end up on a minority, as in figure 8."""
        leaders = [number for number, node in self.nodes.items() if node.leads]
        if not leaders:
            return
        leader = self.rng.choice(leaders)
        corner = {leader, self.rng.choice(list(self.nodes))}
        self.environment.cut = {
            (a, b) for a in self.nodes for b in self.nodes if (a in corner) != (b in corner)
        }

        def end() -> None:
            self.environment.cut.clear()
            node = self.nodes[leader]
            if node.alive and self.rng.random() < 0.7:
                node.crash()
                self.after(self.rng.randrange(10_000, 300_000), node.start_if_down)

        self.after(self.rng.randrange(5_000, 300_000), end)

    def _transfer(self) -> None:
        for node in self.nodes.values():
            if node.leads:
                node.transfer(self.rng.choice(list(self.nodes)))

    def _change_membership(self) -> None:
        for node in self.nodes.values():
            if node.leads:
                node.change_membership(self.rng)

    _FAULTS = (
        ("crash", _crash),
        ("crash", _crash),
        ("crash_all", _crash_all),
        ("partition", _partition),
        ("partition", _partition),
        ("partition_one_way", _partition_one_way),
        ("corner_leader", _corner_leader),
        ("corner_leader", _corner_leader),
        ("transfer", _transfer),
    )
