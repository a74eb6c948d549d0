"""Looks at every row of every node while they are written to, with counts and hashes that the servers compute.

Nodes are never at the same point while a writer writes, so they are compared as of one moment of the primary: its
newest row X and the newest row U that says UPDATE. Rows up to U are updated and final; those up to X keep for ever what
never changes of a row. Each node is asked once it has replayed the primary's position of that moment. An insert or
update whose client was cut off may still come through behind these marks, so a difference counts only when it is there
again under new marks.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import psycopg

from outlast.clock import now_ns, seconds_between
from outlast.history.soak_rows import row_name
from outlast.pace import scaled, scaled_deadline_ns
from outlast.systems.base import Cluster, HasServers
from outlast.systems.postgres.views import Connection, server_view
from outlast.units import parse_lsn
from outlast.workloads.soak_writer import FIXED_HASH, NUMBER_SQL, STATE_HASH, TABLE

T = TypeVar("T")

QUERY_TIMEOUT_S: Final = 20.0
CATCH_UP_S: Final = 10.0
POLL_S: Final = 0.01
TRIES: Final = 3
AGAIN_S: Final = 0.5
NAMED_MAX: Final = 20

_MARKS: Final = (
    f"SELECT coalesce(max(id), 0), coalesce((SELECT max(id) FROM {TABLE} WHERE operation_type = 'UPDATE'), 0), "
    f"pg_current_wal_insert_lsn()::text FROM {TABLE}"
)
_OWN_MARKS: Final = _MARKS.replace("pg_current_wal_insert_lsn()::text", "0")
_COUNTS: Final = (
    "SELECT count(*), "
    "count(*) FILTER (WHERE operation_type = 'INSERT' OR (operation_type = 'UPDATE' AND id > {updated})), "
    "count(*) FILTER (WHERE operation_type = 'UPDATE' AND id <= {updated}), "
    "count(*) FILTER (WHERE operation_type = 'DELETE'), "
    f"coalesce(sum({FIXED_HASH}), 0)::text, coalesce(sum({STATE_HASH}) FILTER (WHERE id <= {{updated}}), 0)::text "
    f"FROM {TABLE} AS t WHERE id <= {{newest}}"
)
_ROWS: Final = (
    f"SELECT id, {NUMBER_SQL}, {FIXED_HASH}, CASE WHEN id <= {{updated}} THEN {STATE_HASH} ELSE 0 END "
    f"FROM {TABLE} AS t WHERE id <= {{newest}}"
)
_IN_BLOCK: Final = (
    f"SELECT id FROM {TABLE} WHERE (ctid::text::point)[0]::bigint = {{block}} ORDER BY id LIMIT 3"
)
_AS_THEY_ARE: Final = "SELECT set_config('ignore_checksum_failure', 'on', false)"
_BLOCK: Final = re.compile(r"block (\d+)")


@dataclass(frozen=True, slots=True)
class Counts:
    """What a node holds as of the marks: rows by what they say, and hashes of all of it."""

    total: int
    inserts: int
    updates: int
    deletes: int
    fixed: str
    state: str


@dataclass(frozen=True, slots=True)
class Validation:
    """One look. nodes: counts by node, None where there was no answer. wrong: what differs, one sentence each, naming
    node and row. took_s: of the last try, from the marks to the last answer."""

    primary: str | None
    nodes: Mapping[str, Counts | None]
    healthy: int
    wrong: tuple[str, ...]
    took_s: float

    @property
    def ok(self) -> bool:
        """Whether every node answered and all hold the same."""
        return not self.wrong and bool(self.nodes) and all(self.nodes.values())


@dataclass(slots=True)
class Validator:
    """Asks the nodes of one cluster, over connections that it keeps."""

    cluster: Cluster
    _connections: dict[str, Connection] = field(default_factory=dict)

    async def look(self) -> Validation:
        """Return what the nodes hold; asks up to TRIES times before it calls them different. Bounded."""
        found = await self._look()
        for _ in range(TRIES - 1):
            if found.ok:
                break
            await asyncio.sleep(AGAIN_S)
            found = await self._look()
        return found

    async def close(self) -> None:
        """Close the connections."""
        for name in list(self._connections):
            await self._drop(name)

    async def _look(self) -> Validation:
        view = await self.cluster.view()
        names = [node.name for node in self.cluster.spec.nodes]
        healthy = sum(1 for name in names if view.node(name).healthy)
        if view.primary is None:
            return Validation(
                None, dict.fromkeys(names), healthy, (f"no node takes writes: {view.missing}",), 0.0
            )
        start = now_ns()
        try:
            marks = await self._ask(view.primary, _MARKS)
        except (psycopg.Error, OSError, TimeoutError) as error:
            words = f"{view.primary} does not say how far it is: {_words(error)}"
            return Validation(view.primary, dict.fromkeys(names), healthy, (words,), 0.0)
        newest, updated, lsn = int(marks[0][0]), int(marks[0][1]), parse_lsn(marks[0][2])
        place = {"newest": newest, "updated": updated}
        answers = await asyncio.gather(
            *(self._counts(name, view.primary, lsn, place) for name in names), return_exceptions=True
        )
        took_s = seconds_between(start, now_ns())
        nodes: dict[str, Counts | None] = {}
        wrong: list[str] = []
        for name, answer in zip(names, answers, strict=True):
            nodes[name] = answer if isinstance(answer, Counts) else None
            if isinstance(answer, BaseException):
                wrong.append(await self._trouble(name, view.primary, answer))
            if isinstance(answer, psycopg.errors.DataCorrupted):
                wrong += await self._in_damage(name, view.primary, place)
            if isinstance(answer, TimeoutError):
                wrong += await self._left_behind(name, view.primary, place)
        wrong += await self._different(view.primary, nodes, place)
        return Validation(view.primary, nodes, healthy, tuple(wrong), took_s)

    async def _counts(self, name: str, primary: str, lsn: int, place: Mapping[str, int]) -> Counts:
        if name != primary:
            await self._caught_up(name, lsn)
        (row,) = await self._ask(name, _at(_COUNTS, place))
        return Counts(*row)

    async def _caught_up(self, name: str, lsn: int) -> None:
        deadline = scaled_deadline_ns(CATCH_UP_S)
        while True:
            connection = await self._connection(name)
            shown = await self._bounded(name, server_view(connection))
            if shown.lsn >= lsn:
                return
            if now_ns() > deadline:
                raise TimeoutError(f"has not replayed the primary's position in {CATCH_UP_S:g} s")
            await asyncio.sleep(POLL_S)

    async def _different(
        self, primary: str, nodes: Mapping[str, Counts | None], place: Mapping[str, int]
    ) -> list[str]:
        """Name the rows by which nodes differ from what most of them hold."""
        held = [counts for counts in nodes.values() if counts is not None]
        if len(set(held)) < 2:
            return []
        most = max(set(held), key=lambda counts: (held.count(counts), counts == nodes[primary]))
        like = next(name for name, counts in nodes.items() if counts == most)
        said = []
        for name, counts in nodes.items():
            if counts is None or counts == most:
                continue
            try:
                rows = await self._rows_apart(name, like, place)
                said += rows or [f"{name} differed from {like}, and no longer does"]
            except (psycopg.Error, OSError, TimeoutError) as error:
                said.append(f"{name} differs from {like}, and its rows cannot be read: {_words(error)}")
        return said

    async def _left_behind(self, name: str, primary: str, place: Mapping[str, int]) -> list[str]:
        """Name the rows by which a node that does not follow differs from the primary, as far as it got."""
        try:
            ((newest, updated, _),) = await self._ask(name, _OWN_MARKS)
            upto = {
                "newest": min(int(newest), place["newest"]),
                "updated": min(int(updated), place["updated"]),
            }
            return await self._rows_apart(name, primary, upto)
        except (psycopg.Error, OSError, TimeoutError) as error:
            return [f"{name} cannot be read: {_words(error)}"]

    async def _in_damage(self, name: str, like: str, place: Mapping[str, int]) -> list[str]:
        """Name the rows that differ on damaged pages, read as they are, where the server can make sense of them."""
        try:
            await self._ask(name, _AS_THEY_ARE)
            return await self._rows_apart(name, like, place)
        except (psycopg.Error, OSError, TimeoutError):
            return []  # that it cannot be read is told already
        finally:
            await self._drop(name)  # nothing else is to be read so

    async def _rows_apart(self, name: str, like: str, place: Mapping[str, int]) -> list[str]:
        mine, theirs = [
            {row[0]: row[1:] for row in await self._ask(one, _at(_ROWS, place))} for one in (name, like)
        ]
        ids = sorted(key for key in mine.keys() | theirs.keys() if mine.get(key) != theirs.get(key))
        said = [_row_words(key, name, like, mine, theirs) for key in ids[:NAMED_MAX]]
        return said + ([f"and {len(ids) - NAMED_MAX} more rows on {name}"] if len(ids) > NAMED_MAX else [])

    async def _trouble(self, name: str, primary: str, error: BaseException) -> str:
        """Say why a node did not answer; a damaged page is told by the rows that others hold in it."""
        words = f"{name}: {_words(error)}"
        block = _BLOCK.search(str(error))
        if block is None or "relation" not in str(error):
            return words
        with contextlib.suppress(psycopg.Error, OSError, TimeoutError):
            rows = await self._ask(primary, _at(_IN_BLOCK, {"block": int(block[1])}))
            words += f"; elsewhere that page holds row {', '.join(str(row[0]) for row in rows)} and more"
        return words

    async def _ask(self, name: str, query: str) -> list[tuple[Any, ...]]:
        async def answer() -> list[tuple[Any, ...]]:
            connection = await self._connection(name)
            return await (await connection.execute(query.encode())).fetchall()

        return await self._bounded(name, answer())

    async def _bounded(self, name: str, work: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(scaled(QUERY_TIMEOUT_S)):
                return await work
        except BaseException:
            await self._drop(name)
            raise

    async def _connection(self, name: str) -> Connection:
        assert isinstance(self.cluster, HasServers)
        kept = self._connections.get(name)
        if kept is not None and not kept.closed:
            return kept
        made = await self.cluster.connect(
            name, database=self.cluster.spec.database, timeout_s=scaled(QUERY_TIMEOUT_S)
        )
        self._connections[name] = made
        return made

    async def _drop(self, name: str) -> None:
        connection = self._connections.pop(name, None)
        if connection is not None:
            with contextlib.suppress(psycopg.Error, OSError):
                await connection.close()


def _at(query: str, place: Mapping[str, int]) -> str:
    """Return a query with its marks; not by format, since a regular expression in it has braces of its own."""
    for name, value in place.items():
        query = query.replace(f"{{{name}}}", str(value))
    return query


def _row_words(
    key: int, name: str, like: str, mine: Mapping[int, tuple[int, ...]], theirs: Mapping[int, tuple[int, ...]]
) -> str:
    number = int((theirs.get(key) or mine[key])[0])
    called = row_name(number) if number >= 0 else "no value of ours"
    if key not in mine:
        return f"row {key} ({called}) is missing on {name} and there on {like}"
    if key not in theirs:
        return f"row {key} ({called}) is on {name} and not on {like}"
    return f"row {key} ({called}) on {name} is not as on {like}"


def _words(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
