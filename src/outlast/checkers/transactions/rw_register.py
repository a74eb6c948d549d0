"""Dependencies between transactions that write and read registers.

Each value is written once a key, so a read tells its write (wr). The order of versions can only be inferred,
in part: nil comes before every value; a transaction that reads one value of a key and then writes another
puts the second after the first; and, for strict serializability only, a write that was acknowledged before
another was invoked comes before it. Whether the rest can be ordered at all is searched in version_search.py.
Source: Elle, rw_register.clj (initial state, wfr-keys; its linearizable-keys also uses reads, where our real-time
edges find the same stale reads with a better witness).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from outlast.checkers.transactions.graph import RW, VARIANT_KINDS, WR, GraphBuilder, components
from outlast.checkers.transactions.observed import Anomalies, Reason, case, show
from outlast.history.op import NONE, Mask, Outcome
from outlast.history.txn import Txns

Version = tuple[int, int]
"""(key, value); the value is NONE for nil."""


@dataclass(slots=True)
class RegisterHistory:
    """A register history. writer: by version, the transaction whose last write of the key it is;
    overwritten: by version, the transaction that overwrote it itself; aborted: by version, the failed one.
    readers: by version, who read it before writing the key. internal: transactions that contradict
    themselves, with the read and what was due. future: transactions that read what they write later, with the
    read. writers: by key, who may have written it. nil_keys: keys to which nil was written. updates: by version,
    who read it last before writing the key, and the value. duplicate: (micro-operation, transaction) of a value
    written twice."""

    txns: Txns
    writer: dict[Version, int] = field(default_factory=dict)
    overwritten: dict[Version, int] = field(default_factory=dict)
    aborted: dict[Version, int] = field(default_factory=dict)
    readers: dict[Version, list[int]] = field(default_factory=lambda: defaultdict(list))
    reads: list[tuple[int, Version]] = field(default_factory=list)
    internal: list[tuple[int, int, int]] = field(default_factory=list)
    future: list[tuple[int, int]] = field(default_factory=list)
    updates: dict[Version, list[tuple[int, int]]] = field(default_factory=lambda: defaultdict(list))
    writers: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    nil_keys: set[int] = field(default_factory=set)
    duplicate: tuple[int, int] | None = None

    @classmethod
    def of(cls, txns: Txns) -> RegisterHistory:
        """Return the history, read once. About 1 µs a micro-operation."""
        history = cls(txns)
        starts, outcomes = txns.mop_start.tolist(), txns.outcome.tolist()
        rows = list(
            zip(
                txns.key.tolist(),
                txns.value.tolist(),
                txns.is_write.tolist(),
                txns.known.tolist(),
                strict=True,
            )
        )
        for txn, outcome in enumerate(outcomes):
            history._read(txn, outcome, rows[starts[txn] : starts[txn + 1]], starts[txn])
        for key in history.nil_keys:
            # What read nil may have read one that was written, by anyone.
            history.readers.pop((key, NONE), None)
            history.updates.pop((key, NONE), None)
        return history

    def _read(self, txn: int, outcome: int, rows: list[tuple[int, int, bool, bool]], first: int) -> None:
        failed, acked = outcome == int(Outcome.FAIL), outcome == int(Outcome.OK)
        state: dict[int, int] = {}
        wrote: dict[int, int] = {}
        began: dict[int, int] = {}
        held: dict[int, int] = {}  # what was read last before the key was written
        saw: dict[Version, int] = {}
        contradicts = None
        for place, (key, value, is_write, known) in enumerate(rows):
            version = (key, value)
            if is_write:
                self._write(txn, version, wrote.get(key), first + place, failed=failed)
                if failed:
                    continue
                state[key] = wrote[key] = value
                if version in saw and value != NONE:
                    self.future.append((txn, saw.pop(version)))
                    if began.get(key) == value:
                        del began[key]
            elif known and not failed:
                if contradicts is None and key in state and state[key] != value:
                    contradicts = (txn, first + place, state[key])
                if key not in state:
                    began[key] = value
                if key not in wrote:
                    held[key] = value
                    saw[version] = first + place
                else:
                    self.reads.append((txn, version))
                state[key] = value
        self.reads += ((txn, version) for version in saw)
        for version in began.items():
            self.readers[version].append(txn)
        for key, value in wrote.items():
            self.writers[key].append(txn)
            if acked and key in began:
                self.updates[key, held[key]].append((txn, value))
        if contradicts is not None and acked:
            self.internal.append(contradicts)

    def _write(self, txn: int, version: Version, before: int | None, mop: int, *, failed: bool) -> None:
        """Note a write. before: what the transaction wrote to the key before it, None for nothing."""
        key, value = version
        if not failed and before is not None and before != NONE:
            self.overwritten[key, before] = txn
            self.writer.pop((key, before), None)
        if value == NONE:
            self.nil_keys.add(key)
            return
        if version in self.writer or version in self.overwritten or version in self.aborted:
            self.duplicate = self.duplicate or (mop, txn)
        # Noted at once, so that a value that one transaction writes twice is seen too.
        (self.aborted if failed else self.writer)[version] = txn

    def find_direct(self) -> Anomalies:
        """Return the anomalies that show without any cycle. O(reads)."""
        txns, anomalies = self.txns, Anomalies()
        name, value = txns.key_name, txns.value_name
        acked = txns.outcome == int(Outcome.OK)
        g1a = [(txn, v, self.aborted[v]) for txn, v in self.reads if v in self.aborted and acked[txn]]
        g1b = [
            (txn, v, self.overwritten[v])
            for txn, v in self.reads
            if v in self.overwritten and acked[txn] and self.overwritten[v] != txn
        ]
        for anomaly, cases, why in (
            ("G1a", g1a, "whose transaction failed"),
            ("G1b", g1b, "which its own transaction then overwrote"),
        ):
            anomalies.add(
                anomaly,
                len(cases),
                (
                    case(
                        anomaly,
                        txns,
                        (txn, by),
                        f"a read of {name(v[0])} gave {value(v[1])}, {why}: {show(txns, by)}",
                    )
                    for txn, v, by in cases
                ),
            )
        anomalies.add(
            "internal",
            len(self.internal),
            (
                case(
                    "internal",
                    txns,
                    (txn,),
                    f"a read of {name(int(txns.key[mop]))} gave {value(int(txns.value[mop]))}, where the "
                    f"transaction itself had {value(due)}",
                )
                for txn, mop, due in self.internal
            ),
        )
        self._add_strange_reads(anomalies, acked)
        lost = [(v, group) for v, group in self.updates.items() if len(group) > 1]
        anomalies.add(
            "lost-update",
            len(lost),
            (
                case(
                    "lost-update",
                    txns,
                    [txn for txn, _ in group],
                    f"{len(group)} transactions read {name(v[0])} = {value(v[1])} and then wrote it: "
                    "all but one overwrote what they had not seen",
                )
                for v, group in lost
            ),
        )
        return anomalies

    def _add_strange_reads(self, anomalies: Anomalies, acked: Mask) -> None:
        """Note reads of what nobody wrote, and of what the reader itself writes later."""
        txns = self.txns
        name, value = txns.key_name, txns.value_name
        garbage = {
            v: txn
            for txn, v in self.reads
            if v[1] != NONE
            and acked[txn]
            and v not in self.writer
            and v not in self.overwritten
            and v not in self.aborted
        }
        anomalies.add(
            "garbage-read",
            len(garbage),
            (
                case(
                    "garbage-read",
                    txns,
                    (txn,),
                    f"a read of {name(v[0])} gave {value(v[1])}, which nobody wrote",
                )
                for v, txn in garbage.items()
            ),
        )
        future = [(txn, mop) for txn, mop in self.future if acked[txn]]
        anomalies.add(
            "future-read",
            len(future),
            (
                case(
                    "future-read",
                    txns,
                    (txn,),
                    f"a read of {name(int(txns.key[mop]))} gave {value(int(txns.value[mop]))}, which the "
                    "transaction itself writes later",
                )
                for txn, mop in future
            ),
        )

    def add_dependencies(self, builder: GraphBuilder, anomalies: Anomalies, inferred: str = "") -> None:
        """Add the edges, and note keys whose versions come before themselves.

        inferred: -process or -realtime when versions follow that order too.
        """
        pairs = [(self.writer[v], txn) for txn, v in self.reads if v in self.writer]
        if pairs:
            writers, readers = zip(*pairs, strict=True)
            builder.add(writers, readers, WR)
        order = self._version_order()
        self._note_cyclic(order, anomalies)
        self._add_order(builder, order, 0)
        self._add_initial(builder)
        if inferred:
            self._add_order(builder, self._write_order(inferred), VARIANT_KINDS[inferred])

    def _version_order(self) -> list[tuple[Version, Version]]:
        """Return (earlier, later) versions, where one transaction read the earlier and wrote the later."""
        return [
            (v, (v[0], value))
            for v, group in self.updates.items()
            for _, value in group
            if v[1] != NONE and value not in (NONE, v[1])
        ]

    def _write_order(self, inferred: str) -> list[tuple[Version, Version]]:
        """Return (earlier, later) versions by real time, or that of a process, without those that follow from others.

        As in Elle's realtime-graph: a buffer of acknowledged writes that no other acknowledged write covers.
        """
        by_key: dict[tuple[int, int], list[tuple[int, bool, int]]] = defaultdict(list)
        processes = self.txns.process.tolist() if inferred == "-process" else [0] * len(self.txns)
        begins, ends = self.txns.invoke_pos.tolist(), self.txns.complete_pos.tolist()
        acked = (self.txns.outcome == int(Outcome.OK)).tolist()
        for (key, value), txn in self.writer.items():
            by_key[key, processes[txn]].append((begins[txn], True, value))
            if acked[txn]:
                by_key[key, processes[txn]].append((ends[txn], False, value))
        order: list[tuple[Version, Version]] = []
        for (key, _), events in by_key.items():
            newest: set[int] = set()
            before: dict[int, frozenset[int]] = {}
            for _, is_begin, value in sorted(events):
                if is_begin:
                    before[value] = frozenset(newest)
                    order += [((key, earlier), (key, value)) for earlier in newest]
                else:
                    newest -= before[value]
                    newest.add(value)
        return order

    def _note_cyclic(self, order: list[tuple[Version, Version]], anomalies: Anomalies) -> None:
        if not order:
            return
        codes: dict[Version, int] = {}
        edges = np.array(
            [[codes.setdefault(a, len(codes)), codes.setdefault(b, len(codes))] for a, b in order],
            dtype=np.int32,
        )
        labels = components(len(codes), edges[:, 0], edges[:, 1])
        cyclic = np.flatnonzero(np.bincount(labels) > 1).tolist()
        members = {label: [v for v, code in codes.items() if labels[code] == label] for label in cyclic[:8]}
        anomalies.add(
            "cyclic-versions",
            len(cyclic),
            (
                case(
                    "cyclic-versions",
                    self.txns,
                    [self.writer[v] for v in versions if v in self.writer],
                    f"the values {', '.join(self.txns.value_name(v[1]) for v in versions)} of "
                    f"{self.txns.key_name(versions[0][0])} each come before the others",
                )
                for versions in members.values()
            ),
        )

    def _add_order(self, builder: GraphBuilder, order: Iterable[tuple[Version, Version]], extra: int) -> None:
        successors: dict[Version, list[int]] = defaultdict(list)
        for earlier, later in order:
            if later in self.writer:
                successors[earlier].append(self.writer[later])
        for earlier, later_txns in successors.items():
            unique = sorted(set(later_txns))
            # That a later writer read the earlier version is a read dependency already.
            builder.add_all_pairs(self.readers.get(earlier, []), unique, RW | extra)

    def _add_initial(self, builder: GraphBuilder) -> None:
        """Order who read nil before all who wrote the key."""
        by_key: dict[int, set[int]] = defaultdict(set)
        for (key, _), txn in self.writer.items():
            by_key[key].add(txn)
        for (key, value), readers in self.readers.items():
            if value == NONE and by_key[key]:
                builder.add_all_pairs(readers, sorted(by_key[key]), RW)

    def explain(self, a: int, b: int, kind: int) -> Reason:
        """Return why transaction a comes before b by a dependency of this kind."""
        name, value = self.txns.key_name, self.txns.value_name
        wrote_a = {v[0]: v[1] for v in self._versions(a, True)}
        wrote_b = {v[0]: v[1] for v in self._versions(b, True)}
        for key, saw in self._versions(b, False) if kind == WR else ():
            if wrote_a.get(key) == saw:
                return Reason(
                    f"{{b}} read {{a}}'s {name(key)} = {value(saw)}", {"key": name(key), "value": value(saw)}
                )
        earlier = self._versions(a, False) if kind == RW else wrote_a.items()
        verb = "read" if kind == RW else "wrote"
        for key, before in earlier:
            if key in wrote_b and wrote_b[key] != before:
                return Reason(
                    f"{{a}} {verb} {name(key)} = {value(before)}, and {{b}} wrote {value(wrote_b[key])} "
                    "after it",
                    {"key": name(key), "value": value(before), "next": value(wrote_b[key])},
                )
        return Reason("{b} depends on {a}", {})

    def _versions(self, txn: int, writes: bool) -> list[Version]:
        txns = self.txns
        return [
            (int(txns.key[mop]), int(txns.value[mop]))
            for mop in range(int(txns.mop_start[txn]), int(txns.mop_start[txn + 1]))
            if bool(txns.is_write[mop]) is writes
        ]
