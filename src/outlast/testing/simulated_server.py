"""A PostgreSQL server in memory: it knows the statements of our faults, and what of them lasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

Rows = list[tuple[Any, ...]]


class SimulatedServer:
    """The server of a host: settings, sessions, slots and whether it replays."""

    def __init__(self, host: Any) -> None:
        self.host = host
        self.in_recovery = False
        self.written: dict[str, str] = {}  # ALTER SYSTEM
        self.settings: dict[str, str] = {}  # as reloaded
        self.sessions: list[str] = []  # application names that stay
        self.clients = [9001, 9002]
        self.slots = {"standby": 9101}
        self.is_paused = False
        self.histories = ["00000002.history"]
        self.rows = 5

    @property
    def in_force(self) -> dict[str, object]:
        """What a fault could have left."""
        return {
            "written": dict(self.written),
            "settings": dict(self.settings),
            "sessions": list(self.sessions),
            "paused": self.is_paused,
            "slots": sorted(self.slots),
        }

    def crash(self) -> None:
        """End: sessions go, replay goes on at the next start."""
        self.sessions.clear()
        self.is_paused = False

    def check(self) -> None:
        """Raise what a client gets when nothing serves."""
        if not self.host.is_on or not self.host.pids_of("postgres"):
            raise psycopg.OperationalError("connection refused")

    def end_sessions(self, application: str) -> Rows:
        """End the sessions of an application; one row each."""
        ended = [name for name in self.sessions if name == application]
        self.sessions = [name for name in self.sessions if name != application]
        return [(True,) for _ in ended]

    def drop_slot(self, name: str) -> Rows:
        """Drop a slot."""
        if self.slots.pop(name, None) is None:
            raise psycopg.errors.UndefinedObject(f'replication slot "{name}" does not exist')
        return [("",)]

    def next_segment(self) -> Rows:
        """Write another segment, or panic when there is no room."""
        if (self.host.folder / ".ballast").exists():
            for pid in self.host.pids_of("postgres"):
                self.host.end(pid)
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        return [("", "")]

    def grow(self) -> Rows:
        """Outgrow a limit."""
        self.host.real_memory.kills = 1
        raise psycopg.OperationalError("server closed the connection unexpectedly")

    def write_setting(self, name: str, value: str | None) -> Rows:
        """ALTER SYSTEM SET or RESET."""
        if value is None:
            self.written.pop(name, None)
        else:
            self.written[name] = value
        return []

    def reload(self) -> Rows:
        """Take over what was written."""
        self.settings = dict(self.written)
        return [(True,)]

    def resume(self) -> Rows:
        """Let it replay, unless a session pauses it again."""
        self.is_paused = any(name.startswith("fault:pause") for name in self.sessions)
        return [("",)]

    def promote(self) -> Rows:
        """Begin a timeline."""
        self.histories.append("00000003.history")
        return [(True,)]

    def delete_rows(self) -> Rows:
        """Lose all rows."""
        self.rows = 0
        return []


Answer = Callable[[SimulatedServer, Sequence[Any]], Rows]

# The first part that a statement contains decides.
ANSWERS: Final[tuple[tuple[str, Answer], ...]] = (
    ("RESET archive_command", lambda server, _: server.write_setting("archive_command", None)),
    ("SET archive_command", lambda server, _: server.write_setting("archive_command", "/bin/true")),
    ("pg_reload_conf", lambda server, _: server.reload()),
    ("pg_current_wal_insert_lsn", lambda _server, _: [("000000010000000000000002",)]),
    ("NOT r.rolsuper", lambda server, _: [(pid,) for pid in server.clients]),
    ("unnest(%s::int[])", lambda server, _: [(True,) for _ in server.clients]),
    ("max_connections", lambda _server, _: [(100,)]),
    ("'checkpointer'", lambda server, _: [(server.in_recovery, 9201)]),
    ("pg_switch_wal", lambda server, _: server.next_segment()),
    ("pg_terminate_backend(pid, 2000)", lambda server, values: server.end_sessions(str(values[0]))),
    (
        "pg_terminate_backend(pid) FROM pg_stat_activity",
        lambda server, values: server.end_sessions(str(values[0])),
    ),
    ("pg_terminate_backend(active_pid", lambda _server, _: []),
    ("pg_drop_replication_slot", lambda server, values: server.drop_slot(str(values[0]))),
    ("SELECT 1 FROM pg_replication_slots", lambda server, values: [(1,)] * (values[0] in server.slots)),
    (
        "pg_create_physical_replication_slot",
        lambda server, values: [(server.slots.setdefault(str(values[0]), 9102),)],
    ),
    ("FROM pg_replication_slots", lambda server, _: list(server.slots.items())),
    ("pg_relation_filepath", lambda _server, _: [("base/1/2608",)]),
    ("pg_snapshot_xmin", lambda _server, _: [(datetime.now(UTC), 700)]),
    ("to_regclass", lambda _server, _: [(True,)]),
    ("SELECT count(*) FROM", lambda server, _: [(server.rows,)]),
    ("DELETE FROM", lambda server, _: server.delete_rows()),
    ("pg_get_wal_replay_pause_state", lambda server, _: [("paused" if server.is_paused else "not paused",)]),
    ("pg_wal_replay_resume", lambda server, _: server.resume()),
    ("pg_is_in_recovery()", lambda server, _: [(server.in_recovery,)]),
    (".history", lambda server, _: [(name,) for name in server.histories]),
    ("pg_promote", lambda server, _: server.promote()),
    ("pg_stat_wal_receiver", lambda server, _: [(pid,) for pid in server.host.pids_of("walreceiver")]),
    ("pg_cancel_backend", lambda _server, _: [(True,)] * 5),
    ("repeat('x'", lambda server, _: server.grow()),
)


@dataclass
class SimulatedCursor:
    """What a statement returned."""

    rows: Rows

    @property
    def description(self) -> bool:
        """Whether there is anything to fetch."""
        return bool(self.rows)

    async def fetchall(self) -> Rows:
        """Return all rows."""
        return self.rows

    async def fetchone(self) -> tuple[Any, ...] | None:
        """Return the first row."""
        return self.rows[0] if self.rows else None


@dataclass
class SimulatedConnection:
    """A connection to a server; it is its own pgconn as well."""

    server: SimulatedServer
    application: str = ""
    sent: list[bytes] = field(default_factory=list)

    @property
    def pgconn(self) -> SimulatedConnection:
        """What sends a statement without waiting for it."""
        return self

    async def execute(self, query: str | bytes, values: Sequence[Any] | None = None) -> SimulatedCursor:
        """Carry out a statement. Raises psycopg.Error as a server would, AssertionError for one it does not know."""
        self.server.check()
        text = query.decode() if isinstance(query, bytes) else query
        if "set_config('application_name'" in text:
            self.application = str((values or [""])[0])
            return SimulatedCursor([])
        for part, answer in ANSWERS:
            if part in text:
                return SimulatedCursor(answer(self.server, values or ()))
        raise AssertionError(f"the simulated server does not know: {text}")

    def send_query(self, query: bytes) -> None:
        """Start a statement that goes on until its session is ended: the one that pauses replay."""
        self.server.check()
        self.sent.append(query)
        self.server.sessions.append(self.application)
        self.server.is_paused = True

    def flush(self) -> int:
        """Nothing is left to send."""
        return 0

    async def close(self) -> None:
        """Leave; what goes on, goes on."""
