"""How late the tool itself was during a run, and how much processor time it and the cluster were kept waiting for."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import Final

from outlast.units import NS_PER_S

SPAN_NS_MIN: Final = NS_PER_S // 2
"""In a few milliseconds any machine is busy."""


@dataclass(frozen=True, slots=True)
class Lateness:
    """What a run noted of its own machine.

    samples: (monotonic ns, wanted s, stolen s), one a second or so, both counted since the machine booted: the time in
    which some program waited for a core (pressure, proc_pressure(5)), and the time that each core on average was in
    another machine's hands (steal, proc_stat(5)). lags: (monotonic ns, seconds) of the times at which the tool's own
    loop came late. fault_late_s: how late the latest fault was, of those whose target was there. look_s: the longest
    that a server that answered took to say what it is.
    """

    samples: tuple[tuple[int, float, float], ...] = ()
    lags: tuple[tuple[int, float], ...] = ()
    fault_late_s: float = 0.0
    look_s: float = 0.0

    def shares(self, start_ns: int, end_ns: int) -> tuple[float, float]:
        """Return (wanted, stolen) as shares, 0 to 1, of the time from start_ns to end_ns, as far as it was sampled.

        Of less than SPAN_NS_MIN they say nothing, and are 0.
        """
        moments = [sample[0] for sample in self.samples]
        first = max(0, bisect_right(moments, start_ns) - 1)
        last = min(len(moments) - 1, bisect_left(moments, end_ns))
        if last <= first or self.samples[last][0] - self.samples[first][0] < SPAN_NS_MIN:
            return 0.0, 0.0
        since, until = self.samples[first], self.samples[last]
        took_s = (until[0] - since[0]) / NS_PER_S
        return min(1.0, (until[1] - since[1]) / took_s), min(1.0, (until[2] - since[2]) / took_s)

    def lag_s(self, start_ns: int, end_ns: int) -> float:
        """Return the longest lag of the tool's own loop that touches the time from start_ns to end_ns, seconds."""
        return max(
            (lag for at_ns, lag in self.lags if start_ns <= at_ns and at_ns - lag * NS_PER_S <= end_ns),
            default=0.0,
        )
