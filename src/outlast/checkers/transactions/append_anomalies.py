"""Anomalies of list-append histories that show without any cycle.

    internal             a read contradicts its own transaction's earlier reads and appends
    future-read          a read shows what its own transaction appends later
    duplicate-elements   a read shows an element twice
    incompatible-order   two reads of a key, neither a prefix of the other
    garbage-read         an element that nobody appended
    G1a                  an element of a transaction that failed
    G1b                  a read that ends within another transaction's appends
    reordered-appends    a transaction's own appends in another order, or the later without the earlier
    dirty-update         a committed append on top of one that failed
    lost-update          two committed transactions read the same version of a key, then both append to it
    G-cursor             another's append between what a transaction read last of a key and its own append to it

Source: Elle, list_append.clj and txn.clj, whose cases these are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from outlast.checkers.base import Evidence
from outlast.checkers.transactions.list_append import AppendHistory
from outlast.checkers.transactions.observed import Anomalies, case, show, show_list
from outlast.checkers.transactions.versions import ELSEWHERE, INITIAL, NOBODY
from outlast.history.op import I64, Mask, Outcome
from outlast.history.txn import Txns


def find_direct(history: AppendHistory) -> Anomalies:
    """Return all of them. O(m log m), plus the elements of reads that are no prefixes."""
    anomalies = Anomalies()
    _internal(history, anomalies)
    _orders(history, anomalies)
    _elements(history, anomalies)
    _intermediate_reads(history, anomalies)
    _reordered_appends(history, anomalies)
    _dirty_update(history, anomalies)
    _lost_update(history, anomalies)
    return anomalies


def _acked(history: AppendHistory, mops: I64) -> Mask:
    return np.equal(history.txns.outcome[history.txn_of_mop[mops]], int(Outcome.OK))


def _orders(history: AppendHistory, anomalies: Anomalies) -> None:
    txns, versions = history.txns, history.versions
    reads, key = versions.reads, txns.key[versions.reads]
    length = txns.list_start[reads + 1] - txns.list_start[reads]
    odd = reads[~versions.is_prefix]
    keys, first = np.unique(txns.key[odd], return_index=True)

    def incompatible() -> Iterator[Evidence]:
        for each, at in zip(keys.tolist(), first.tolist(), strict=True):
            longest, read = int(versions.longest[each]), int(odd[at])
            yield case(
                "incompatible-order",
                txns,
                (history.txn_of_mop[longest], history.txn_of_mop[read]),
                f"{txns.key_name(each)} was read as {show_list(txns, longest)} and as "
                f"{show_list(txns, read)}, which no one order of appends explains",
                key=txns.key_name(each),
            )

    anomalies.add("incompatible-order", len(keys), incompatible())
    twice = reads[versions.is_prefix & (length >= versions.first_repeat[key])].tolist()
    twice += [read for read in odd.tolist() if len(np.unique(txns.list_of(read))) < len(txns.list_of(read))]
    anomalies.add(
        "duplicate-elements",
        len(twice),
        (
            case(
                "duplicate-elements",
                txns,
                (history.txn_of_mop[read],),
                f"a read of {txns.key_name(int(txns.key[read]))} shows an element twice: "
                f"{show_list(txns, read)}",
            )
            for read in twice
        ),
    )


def _elements(history: AppendHistory, anomalies: Anomalies) -> None:
    """G1a and garbage-read: who appended what was read."""
    txns, versions, txn_of_mop = history.txns, history.versions, history.txn_of_mop
    reads, key = versions.reads, txns.key[versions.reads]
    failed_mop = txns.outcome[txn_of_mop] == int(Outcome.FAIL)
    aborted = np.zeros(len(versions.key) + 1, dtype=np.int64)
    if len(versions.key):
        np.cumsum((versions.writer != NOBODY) & failed_mop[versions.writer], out=aborted[1:])
    # A prefix holds the aborted versions up to its last one, all others are counted one by one.
    acked = _acked(history, reads)
    seen = versions.of_read[reads]
    plain = versions.is_prefix & acked & (seen >= 0)
    g1a = np.zeros(len(reads), dtype=np.int64)
    g1a[plain] = aborted[seen[plain] + 1] - aborted[versions.start[key[plain]]]
    garbage: dict[tuple[int, int], int] = {
        (int(versions.key[each]), int(versions.element[each])): int(versions.longest[versions.key[each]])
        for each in np.flatnonzero(versions.writer == NOBODY)[:100_000].tolist()
    }
    for place in np.flatnonzero(~versions.is_prefix).tolist():
        read = int(reads[place])
        elements = txns.list_of(read)
        writers = history.index.find(np.full(len(elements), key[place]), elements)
        if acked[place]:
            g1a[place] = int(np.count_nonzero((writers != NOBODY) & failed_mop[writers]))
        for element in elements[writers == NOBODY].tolist():
            garbage.setdefault((int(key[place]), element), read)

    def g1a_cases() -> Iterator[Evidence]:
        for place in np.flatnonzero(g1a).tolist():
            read = int(reads[place])
            elements = txns.list_of(read)
            writers = history.index.find(np.full(len(elements), key[place]), elements)
            bad = np.flatnonzero((writers != NOBODY) & failed_mop[writers])[0]
            yield case(
                "G1a",
                txns,
                (txn_of_mop[read], txn_of_mop[writers[bad]]),
                f"a read of {txns.key_name(int(key[place]))} shows {txns.value_name(int(elements[bad]))}, "
                f"whose transaction failed: {show(txns, int(txn_of_mop[writers[bad]]))}",
            )

    anomalies.add("G1a", int(g1a.sum()), g1a_cases())
    anomalies.add(
        "garbage-read",
        len(garbage),
        (
            case(
                "garbage-read",
                txns,
                (txn_of_mop[read],),
                f"a read of {txns.key_name(each)} shows {txns.value_name(element)}, which nobody appended",
            )
            for (each, element), read in garbage.items()
        ),
    )


def _intermediate_reads(history: AppendHistory, anomalies: Anomalies) -> None:
    """G1b: reads that end within another transaction's appends."""
    txns, versions, txn_of_mop = history.txns, history.versions, history.txn_of_mop
    reads, key = versions.reads, txns.key[versions.reads]
    acked, seen = _acked(history, reads), versions.of_read[reads]
    last = txns.list_start[reads + 1] - 1
    has_last = np.flatnonzero(acked & (txns.list_start[reads + 1] > txns.list_start[reads]))
    writer = np.full(len(reads), NOBODY, dtype=np.int64)
    on_order = has_last[seen[has_last] >= 0]
    writer[on_order] = versions.writer[seen[on_order]]
    off_order = has_last[seen[has_last] < 0]
    writer[off_order] = history.index.find(key[off_order], txns.elements[last[off_order]])
    between = np.flatnonzero(
        (writer != NOBODY) & _intermediate(history)[writer] & (txn_of_mop[writer] != txn_of_mop[reads])
    )
    anomalies.add(
        "G1b",
        len(between),
        (
            case(
                "G1b",
                txns,
                (txn_of_mop[reads[place]], txn_of_mop[writer[place]]),
                f"a read of {txns.key_name(int(key[place]))} ends with "
                f"{txns.value_name(int(txns.value[writer[place]]))}, in the midst of "
                f"{show(txns, int(txn_of_mop[writer[place]]))}",
            )
            for place in between.tolist()
        ),
    )


def _intermediate(history: AppendHistory) -> Mask:
    """Return which appends are followed by another to the same key in their transaction, (m)."""
    txns = history.txns
    order = history.again[txns.is_write[history.again]]
    same = (history.txn_of_mop[order[1:]] == history.txn_of_mop[order[:-1]]) & (
        txns.key[order[1:]] == txns.key[order[:-1]]
    )
    mask = np.zeros(len(txns.key), dtype=np.bool_)
    mask[order[:-1][same]] = True
    return mask


def _reordered_appends(history: AppendHistory, anomalies: Anomalies) -> None:
    txns, versions, txn_of_mop = history.txns, history.versions, history.txn_of_mop
    again = history.again
    order = again[txns.is_write[again] & (txns.outcome[txn_of_mop[again]] != int(Outcome.FAIL))]
    earlier, later = order[:-1], order[1:]
    same = (txn_of_mop[later] == txn_of_mop[earlier]) & (txns.key[later] == txns.key[earlier])
    place, following = versions.of_append[earlier], versions.of_append[later]
    wrong = np.flatnonzero(same & (following != NOBODY) & ((place == NOBODY) | (place > following)))
    anomalies.add(
        "reordered-appends",
        len(wrong),
        (
            case(
                "reordered-appends",
                txns,
                (txn_of_mop[earlier[at]],),
                f"{txns.key_name(int(txns.key[later[at]]))} shows {txns.value_name(int(txns.value[later[at]]))}, and "
                f"not before it {txns.value_name(int(txns.value[earlier[at]]))}, which its transaction appended first",
            )
            for at in wrong.tolist()
        ),
    )


def _dirty_update(history: AppendHistory, anomalies: Anomalies) -> None:
    txns, versions, txn_of_mop = history.txns, history.versions, history.txn_of_mop
    known = np.flatnonzero(versions.writer != NOBODY)
    outcome = txns.outcome[txn_of_mop[versions.writer[known]]]
    # Unknown outcomes lie between and say nothing.
    told = np.isin(outcome, (int(Outcome.OK), int(Outcome.FAIL)))
    known, outcome = known[told], outcome[told]
    same = versions.key[known[1:]] == versions.key[known[:-1]]
    dirty = np.flatnonzero(same & (outcome[:-1] == int(Outcome.FAIL)) & (outcome[1:] == int(Outcome.OK)))
    anomalies.add(
        "dirty-update",
        len(dirty),
        (
            case(
                "dirty-update",
                txns,
                (txn_of_mop[versions.writer[known[at]]], txn_of_mop[versions.writer[known[at + 1]]]),
                f"on {txns.key_name(int(versions.key[known[at]]))}, the committed append of "
                f"{txns.value_name(int(versions.element[known[at + 1]]))} follows that of "
                f"{txns.value_name(int(versions.element[known[at]]))}, whose transaction failed",
            )
            for at in dirty.tolist()
        ),
    )


def _lost_update(history: AppendHistory, anomalies: Anomalies) -> None:
    txns, versions, txn_of_mop = history.txns, history.versions, history.txn_of_mop
    reads, appends = history.updates()
    if not len(reads):
        return
    prefix = np.zeros(len(txns.key), dtype=np.bool_)
    prefix[versions.reads[versions.is_prefix]] = True
    seen: dict[tuple[int, object], list[int]] = {}
    plain = reads[prefix[reads]]
    length = txns.list_start[plain + 1] - txns.list_start[plain]
    by_version = np.lexsort((length, txns.key[plain]))
    plain, length = plain[by_version], length[by_version]
    same = (txns.key[plain[1:]] == txns.key[plain[:-1]]) & (length[1:] == length[:-1])
    for at in np.flatnonzero(same).tolist():
        group = seen.setdefault((int(txns.key[plain[at]]), int(length[at])), [int(plain[at])])
        group.append(int(plain[at + 1]))
    for read in reads[~prefix[reads]].tolist():
        seen.setdefault((int(txns.key[read]), tuple(txns.list_of(read).tolist())), []).append(read)
    lost = [(key, group) for (key, _), group in seen.items() if len(group) > 1]
    anomalies.add(
        "lost-update",
        len(lost),
        (
            case(
                "lost-update",
                txns,
                [txn_of_mop[read] for read in group],
                f"{len(group)} transactions read {txns.key_name(key)} as {show_list(txns, group[0])} "
                "and then appended to it: all but one overwrote what they had not seen",
                key=txns.key_name(key),
            )
            for key, group in lost
        ),
    )
    told = np.isin(reads, [read for _, group in lost for read in group])
    _cursor(history, anomalies, reads[~told], appends[~told])


def _cursor(history: AppendHistory, anomalies: Anomalies, reads: I64, appends: I64) -> None:
    """G-cursor: of reads and the appends to the key that follow them, those with another's append between."""
    txns, versions, txn_of_mop = history.txns, history.versions, history.txn_of_mop
    key, seen = txns.key[reads], versions.of_read[reads]
    appended = versions.of_append[appends]
    before = np.where(appended == NOBODY, versions.start[key + 1], appended) - 1
    before = np.where(before >= versions.start[key], before, INITIAL)
    own = (
        (seen >= 0) & (history.writer_txn[np.maximum(seen, 0)] == txn_of_mop[reads])
        if len(versions.key)
        else seen > 0
    )
    between = np.flatnonzero((seen != ELSEWHERE) & (before != seen) & ~own)
    anomalies.add(
        "G-cursor",
        len(between),
        (
            case(
                "G-cursor",
                txns,
                (txn_of_mop[reads[at]],),
                f"a transaction read {txns.key_name(int(key[at]))} as {show_list(txns, int(reads[at]))} and appended "
                f"{txns.value_name(int(txns.value[appends[at]]))}, and another's append came between",
            )
            for at in between.tolist()
        ),
    )


def _internal(history: AppendHistory, anomalies: Anomalies) -> None:
    txns, txn_of_mop = history.txns, history.txn_of_mop
    again = history.again
    order = again[txns.known[again] & (txns.outcome[txn_of_mop[again]] == int(Outcome.OK))]
    same = (txn_of_mop[order[1:]] == txn_of_mop[order[:-1]]) & (txns.key[order[1:]] == txns.key[order[:-1]])
    shared = np.zeros(len(order), dtype=np.bool_)
    shared[1:] |= same
    shared[:-1] |= same
    suspects = np.unique(txn_of_mop[order[shared]])
    if not len(suspects):
        return
    suspects = suspects[_needs_a_look(history, order, shared, suspects)]
    internal, future = [], []
    for txn in suspects.tolist():
        if (bad := _contradiction(txns, txn)) is not None:
            internal.append((txn, *bad))
        if (read := _reads_its_future(txns, txn)) is not None:
            future.append((txn, read))
    anomalies.add(
        "internal",
        len(internal),
        (
            case(
                "internal",
                txns,
                (txn,),
                f"a read of {txns.key_name(int(txns.key[mop]))} gave {show_list(txns, mop)}, where the "
                f"transaction's own reads and appends make it {expected}",
            )
            for txn, mop, expected in internal
        ),
    )
    anomalies.add(
        "future-read",
        len(future),
        (
            case(
                "future-read",
                txns,
                (txn,),
                f"a read of {txns.key_name(int(txns.key[mop]))} gave {show_list(txns, mop)}, with an element "
                "that the transaction appends later",
            )
            for txn, mop in future
        ),
    )


def _needs_a_look(history: AppendHistory, order: I64, shared: Mask, suspects: I64) -> Mask:
    """Return which transactions that touch a key twice cannot be cleared by lengths alone.

    Among reads that are prefixes of one order, a read is right when it is as long as the read before it in
    the transaction and the appends between, and the appends are where that puts them in the order.
    """
    txns, versions, txn_of_mop = history.txns, history.versions, history.txn_of_mop
    mops = order[shared]
    key, txn = txns.key[mops], txn_of_mop[mops]
    begins = np.ones(len(mops), dtype=np.bool_)
    begins[1:] = (txn[1:] != txn[:-1]) | (key[1:] != key[:-1])
    prefix = np.zeros(len(txns.key), dtype=np.bool_)
    prefix[versions.reads[versions.is_prefix]] = True
    is_read = ~txns.is_write[mops]
    # Where each micro-operation leaves the list: a read at its length, an append just after its version.
    place = np.where(
        is_read,
        txns.list_start[mops + 1] - txns.list_start[mops],
        versions.of_append[mops] - versions.start[key] + 1,
    )
    clean = np.where(is_read, prefix[mops], versions.of_append[mops] != NOBODY)
    clean &= ~(is_read & (place >= versions.first_repeat[key]))
    step = np.diff(place, prepend=0)
    clean &= begins | (step == txns.is_write[mops])
    # An append that nobody read is right as long as no read of the same transaction follows it.
    followed = np.zeros(len(mops), dtype=np.bool_)
    followed[:-1] = ~begins[1:]
    unread_last = ~is_read & (versions.of_append[mops] == NOBODY) & ~followed
    clean |= unread_last
    return np.isin(suspects, np.unique(txn[~clean]))


def _contradiction(txns: Txns, txn: int) -> tuple[int, str] | None:
    """Return the first read that contradicts what came before it in the transaction, and what was due."""
    state: dict[int, tuple[bool, list[int]]] = {}  # key: whether the beginning is known, and the end
    for mop in range(int(txns.mop_start[txn]), int(txns.mop_start[txn + 1])):
        key = int(txns.key[mop])
        if txns.is_write[mop]:
            whole, tail = state.get(key, (False, []))
            state[key] = (whole, [*tail, int(txns.value[mop])])
        elif txns.known[mop]:
            got = txns.list_of(mop).tolist()
            if key in state:
                whole, tail = state[key]
                if got != tail if whole else (len(got) < len(tail) or got[len(got) - len(tail) :] != tail):
                    shown = " ".join(txns.value_name(element) for element in tail)
                    return mop, f"[{shown}]" if whole else f"[… {shown}]"
            state[key] = (True, got)
    return None


def _reads_its_future(txns: Txns, txn: int) -> int | None:
    """Return a read that shows an element which the transaction appends only later."""
    seen: dict[tuple[int, int], int] = {}
    for mop in range(int(txns.mop_start[txn]), int(txns.mop_start[txn + 1])):
        key = int(txns.key[mop])
        if not txns.is_write[mop]:
            for element in txns.list_of(mop).tolist():
                seen.setdefault((key, element), mop)
        elif (key, int(txns.value[mop])) in seen:
            return seen[key, int(txns.value[mop])]
    return None
