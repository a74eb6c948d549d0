"""``bench destroy``: from a whole cluster to nothing left, our search for residue included.

The peer ends bare servers with an immediate shutdown and removes their files.
"""

from __future__ import annotations

import statistics

from benchmarks.bringup import PEER, turns
from benchmarks.case import Case


def cases(rounds: int = 3) -> list[Case]:
    """Return the median of some rounds. About half a minute."""
    ours, peers = turns("patroni", rounds)
    mine = statistics.median(turn.down_s for turn in ours)
    return [Case("patroni-3", mine, "s", statistics.median(turn.down_s for turn in peers), PEER)]
