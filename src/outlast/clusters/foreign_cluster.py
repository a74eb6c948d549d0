"""A look at a PostgreSQL cluster that we did not make: who is what, how far behind, and what a failover now would cost.

Nothing is written and nothing is broken. Each server that the connection string names is asked, and those that
replication leads to, as far as they answer; the others are shown as their primary sees them. Passwords come from the
environment or a passfile, as libpq takes them, and are never part of what is printed.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from outlast.clusters.failover_cost import WAITED_FOR, ExpectedLoss, best, failovers
from outlast.errors import ClusterError, ConfigError
from outlast.systems.base import NodeView, Role
from outlast.systems.postgres.dsn import per_host
from outlast.systems.postgres.inspection import SeenSlot, SeenStandby, Survey, survey

CONNECT_TIMEOUT_S: Final = 3
LOOK_TIMEOUT_S: Final = 10.0
RATE_LOOK_S: Final = 0.5
HOSTS_MAX: Final = 32
RETAINED_BYTES_MAX: Final = 1024**3
HIDDEN: Final = "not shown to this user"


@dataclass(frozen=True, slots=True)
class ForeignCluster:
    """A cluster that is not ours. asked: host:port of each server of the connection string.

    failover: the best that could happen; failovers: what each standby would lose. remarks: what is or will be trouble.
    """

    asked: tuple[str, ...]
    ready: bool
    missing: str
    primary: str | None
    nodes: tuple[NodeView, ...]
    versions: Mapping[str, str]
    slots: tuple[SeenSlot, ...]
    settings: Mapping[str, str]
    wal_bytes_per_s: float | None
    failover: ExpectedLoss
    failovers: tuple[ExpectedLoss, ...]
    remarks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServerSighting:
    """A server that was asked: where, and what it showed, or why it did not."""

    host: str
    port: int
    survey: Survey | None
    error: str = ""

    @property
    def place(self) -> str:
        """host:port."""
        return f"{self.host}:{self.port}"


async def look(dsn: str) -> ForeignCluster:
    """Look at the cluster behind a libpq connection string, which may name several hosts.

    Bounded: some seconds a server, all at once. Raises ConfigError for a string that is none or holds a password,
    ClusterError when no server answers, with each one's reason.
    """
    hosts = _hosts(dsn)
    seen = list(await asyncio.gather(*(_ask(host) for host in hosts)))
    seen += await _follow(seen, hosts)
    if all(one.survey is None for one in seen):
        reasons = "; ".join(f"{one.place}: {one.error}" for one in seen)
        raise ClusterError(
            f"no server answers: {reasons}", hint="passwords come from PGPASSFILE, ~/.pgpass or PGPASSWORD"
        )
    later = await _later(seen, hosts)
    return describe(tuple(f"{host['host']}:{host['port']}" for host in hosts), seen, later)


def describe(asked: tuple[str, ...], seen: Sequence[ServerSighting], later: Survey | None) -> ForeignCluster:
    """Return what the servers' own words amount to. later: the primary, RATE_LOOK_S after. Pure."""
    answered = [(one, one.survey) for one in seen if one.survey is not None]
    primaries = [(one, found) for one, found in answered if not found.view.in_recovery]
    newest = max(primaries, key=lambda pair: (pair[1].view.timeline, pair[1].view.lsn), default=None)
    nodes = _nodes(seen, newest)
    remarks = [*_remarks(answered, primaries)]
    rate: float | None = None
    remarks += [f"{one.place} does not answer: {one.error}" for one in seen if one.survey is None]
    if newest is None:
        follows = {found.upstream for _one, found in answered if found.upstream}
        where = ", ".join(f"{host}:{port}" for host, port in sorted(follows))
        why = "no primary was reached" + (f"; the standbys follow {where}" if where else "")
        losses: tuple[ExpectedLoss, ...] = ()
        loss, missing = ExpectedLoss(None, None, None, False, why), why
    else:
        now = newest[1]
        if later is not None:
            rate = round(max(0, later.view.lsn - now.view.lsn) / RATE_LOOK_S, 1)
        losses = failovers([now, later] if later is not None else [now], rate)
        loss = best(newest[1], losses)
        missing = _missing(nodes, [one.place for one, _found in primaries])
    source = newest[1] if newest else answered[0][1]
    return ForeignCluster(
        asked=asked,
        ready=not missing,
        missing=missing,
        primary=_name(newest[0], newest[1]) if newest else None,
        nodes=nodes,
        versions={_name(one, found): found.version for one, found in answered},
        slots=source.slots,
        settings=source.settings,
        wal_bytes_per_s=rate,
        failover=loss,
        failovers=losses,
        remarks=tuple(remarks),
    )


def _missing(nodes: Sequence[NodeView], primaries: Sequence[str]) -> str:
    if len(primaries) > 1:
        return f"several servers accept writes: {', '.join(primaries)}"
    for node in nodes:
        if not node.healthy:
            return f"{node.name} is {node.state}"
    return ""


def _nodes(
    seen: Sequence[ServerSighting], newest: tuple[ServerSighting, Survey] | None
) -> tuple[NodeView, ...]:
    """Return every server that was asked, and every standby that only its primary shows."""
    left = list(newest[1].standbys) if newest else []
    nodes: dict[str, NodeView] = {}
    for one in seen:
        if one.survey is None:
            nodes[one.place] = NodeView(
                one.place, Role.STANDBY, one.host, one.port, None, "unreachable", False
            )
            continue
        standby = _told_of(one, one.survey, left)
        if standby is not None:
            left.remove(standby)
        name = standby.name if standby is not None and standby.name not in nodes else _name(one, one.survey)
        name = one.place if name in nodes else name
        nodes[name] = _reached(name, one, one.survey, standby, newest)
    for standby in left:
        if standby.name not in nodes:
            nodes[standby.name] = _only_told(standby, newest)
    return tuple(nodes.values())


def _told_of(one: ServerSighting, found: Survey, told: Sequence[SeenStandby]) -> SeenStandby | None:
    """Return what its primary says of a server: known by its slot, else by its name or address when only one has it."""
    if not found.view.in_recovery:
        return None
    for matches in (
        [standby for standby in told if standby.slot is not None and standby.slot == found.slot],
        [standby for standby in told if standby.name == found.calls_itself],
        [standby for standby in told if standby.address == one.host],
    ):
        if len(matches) == 1:
            return matches[0]
    return None


def _reached(
    name: str,
    one: ServerSighting,
    found: Survey,
    told: SeenStandby | None,
    newest: tuple[ServerSighting, Survey] | None,
) -> NodeView:
    if not found.view.in_recovery:
        state, healthy = "running", newest is not None and found is newest[1]
        role = Role.PRIMARY
    else:
        role = Role.STANDBY
        own = "streaming" if found.upstream else "not streaming" if found.sees_all else HIDDEN
        state = (told.state if told else None) or own
        state = "replay paused" if found.paused else state
        healthy = state == "streaming"
    lag = newest[1].view.lsn - found.view.lsn if newest and role is Role.STANDBY else None
    return NodeView(
        name,
        role,
        one.host,
        one.port,
        None,
        state,
        healthy,
        timeline=found.view.timeline,
        lsn=found.view.lsn,
        write_lag_s=told.write_lag_s if told else None,
        flush_lag_s=told.flush_lag_s if told else None,
        replay_lag_s=told.replay_lag_s if told else None,
        lag_bytes=None if lag is None else max(0, lag),
        sync=told.sync if told else None,
        slot_active=told.slot is not None if told else None,
    )


def _only_told(standby: SeenStandby, newest: tuple[ServerSighting, Survey] | None) -> NodeView:
    lag = newest[1].view.lsn - standby.replayed if newest and standby.replayed is not None else None
    return NodeView(
        standby.name,
        Role.STANDBY,
        standby.address or "",
        0,
        None,
        standby.state or HIDDEN,
        standby.state == "streaming",
        lsn=standby.replayed,
        write_lag_s=standby.write_lag_s,
        flush_lag_s=standby.flush_lag_s,
        replay_lag_s=standby.replay_lag_s,
        lag_bytes=None if lag is None else max(0, lag),
        sync=standby.sync,
        slot_active=standby.slot is not None,
    )


def _name(one: ServerSighting, found: Survey) -> str:
    """Return what a server is called: a standby by the name it gives its primary, a primary by its place."""
    return found.calls_itself if found.view.in_recovery and found.calls_itself else one.place


def _remarks(
    answered: Sequence[tuple[ServerSighting, Survey]], primaries: Sequence[tuple[ServerSighting, Survey]]
) -> list[str]:
    remarks = []
    if len({found.system_id for _one, found in answered}) > 1:
        remarks.append("the servers belong to different clusters: their system identifiers differ")
    if len(primaries) > 1:
        remarks.append("several servers accept writes: " + ", ".join(one.place for one, _found in primaries))
    for one, found in answered:
        remarks += [f"{one.place}: {words}" for words in _of_settings(found)]
        if not found.sees_all:
            remarks.append(f"{one.place}: this user is not shown everything: GRANT pg_monitor TO it")
        for slot in found.slots:
            if slot.wal_status in ("unreserved", "lost"):
                remarks.append(
                    f"{one.place}: the slot {slot.name} is {slot.wal_status}: its standby must be copied anew"
                )
            elif not slot.active and (slot.retained_bytes or 0) > RETAINED_BYTES_MAX:
                held = f"{(slot.retained_bytes or 0) // 1024**2} MiB of WAL"
                remarks.append(f"{one.place}: nobody uses the slot {slot.name}, which holds back {held}")
    return remarks


def _of_settings(found: Survey) -> list[str]:
    setting = found.settings.get
    words = []
    if setting("fsync") == "off":
        words.append("fsync = off: a power loss can destroy the database")
    if setting("full_page_writes") == "off":
        words.append("full_page_writes = off: a power loss can leave torn pages")
    if setting("data_checksums") == "off" and setting("wal_log_hints") == "off":
        words.append("neither data checksums nor wal_log_hints: pg_rewind cannot bring a former primary back")
    if setting("recovery_min_apply_delay") not in (None, "0"):
        words.append(
            f"recovery_min_apply_delay = {setting('recovery_min_apply_delay')}: it replays late on purpose"
        )
    if setting("wal_level") == "minimal":
        words.append("wal_level = minimal: nothing can be replicated")
    idle = ", ".join(slot.name for slot in found.slots if not slot.active)
    if setting("max_slot_wal_keep_size") == "-1" and idle and not found.view.in_recovery:
        words.append(
            f"max_slot_wal_keep_size = -1, and nobody uses {idle}: its WAL is kept until the disk is full"
        )
    names = setting("synchronous_standby_names")
    if names and not found.view.in_recovery and found.sees_all:
        waited_for = [standby.name for standby in found.standbys if standby.sync in WAITED_FOR]
        if not waited_for:
            words.append(f"commits wait for {names}, and no such standby is connected: writes hang")
        elif len(waited_for) == len(found.standbys):
            words.append(
                f"commits wait for {', '.join(waited_for)}, and no other standby could take its place"
            )
    return words


def _hosts(dsn: str) -> list[dict[str, str]]:
    """Return one set of connection parameters a host. Raises ConfigError; never with the string itself."""
    try:
        given = {key: str(value) for key, value in conninfo_to_dict(dsn).items() if value is not None}
    except psycopg.Error:
        hint = "host=A,B port=5432 dbname=postgres user=U, or postgresql://U@A,B/postgres"
        raise ConfigError("is no libpq connection string", key="--dsn", hint=hint) from None
    if "password" in given:
        raise ConfigError(
            "holds a password, which others of this machine could read",
            key="--dsn",
            hint="put it into a passfile (PGPASSFILE, ~/.pgpass) or PGPASSWORD",
        )
    for key in ("target_session_attrs", "load_balance_hosts"):
        given.pop(key, None)
    defaults = {one.keyword.decode(): one.val for one in psycopg.pq.Conninfo.get_defaults()}
    for key in ("host", "port"):
        value = defaults.get(key)
        if key not in given and value:
            given[key] = value.decode()
    given.setdefault("host", "" if "hostaddr" in given else "localhost")
    given.setdefault("port", "5432")
    try:
        hosts = per_host(given)
    except ValueError as error:
        raise ConfigError(str(error), key="--dsn") from error
    if len(hosts) > HOSTS_MAX:
        raise ConfigError(f"names {len(hosts)} hosts; {HOSTS_MAX} at most", key="--dsn")
    for host in hosts:
        if not host.get("port", "").isdecimal():
            raise ConfigError(f"{host.get('port')!r} is no port", key="--dsn")
        host["host"] = host.get("host") or host.get("hostaddr", "")
    return hosts


async def _ask(params: Mapping[str, str]) -> ServerSighting:
    host, port = params["host"], int(params["port"])
    settings = {
        "application_name": "outlast",
        "connect_timeout": str(CONNECT_TIMEOUT_S),
        "tcp_user_timeout": "5000",
        **params,
    }
    try:
        async with asyncio.timeout(LOOK_TIMEOUT_S):
            connection = await psycopg.AsyncConnection.connect(
                make_conninfo("", **settings), prepare_threshold=None
            )
            try:
                return ServerSighting(host, port, await survey(connection))
            finally:
                await connection.close()
    except TimeoutError:
        return ServerSighting(host, port, None, f"no answer in {LOOK_TIMEOUT_S:g} s")
    except (psycopg.Error, OSError) as error:
        return ServerSighting(host, port, None, _line(error))


async def _follow(seen: Sequence[ServerSighting], hosts: Sequence[Mapping[str, str]]) -> list[ServerSighting]:
    """Ask the servers that replication leads to, where their addresses can mean the same here as there.

    A cluster reached over this machine's own loopback is behind a forwarded port: its addresses are not ours to call.
    A password is never sent in clear to an address that was only told, and an answer from another cluster is ignored.
    """
    if all(_is_local(host["host"]) for host in hosts):
        return []
    known = {(one.host, one.port) for one in seen}
    known |= {(str(host.get("hostaddr")), int(host["port"])) for host in hosts}
    systems = {one.survey.system_id for one in seen if one.survey}
    wanted: dict[tuple[str, int], None] = {}
    for one in seen:
        if one.survey is None:
            continue
        places = [(standby.address, one.port) for standby in one.survey.standbys if standby.address]
        for place in (*places, *([one.survey.upstream] if one.survey.upstream else [])):
            if place not in known and not _is_local(place[0]):
                wanted[place] = None
    common = {key: value for key, value in hosts[0].items() if key not in ("host", "hostaddr", "port")}
    asked = [
        _ask({**common, "host": host, "port": str(port), "require_auth": "!password"})
        for host, port in list(wanted)[:HOSTS_MAX]
    ]
    found = await asyncio.gather(*asked)
    return [one for one in found if one.survey is not None and one.survey.system_id in systems]


async def _later(seen: Sequence[ServerSighting], hosts: Sequence[Mapping[str, str]]) -> Survey | None:
    """Return the primary a moment later: how fast it writes, and whether a standby was only caught at a good time."""
    primary = next((one for one in seen if one.survey and not one.survey.view.in_recovery), None)
    params = next(
        (host for host in hosts if primary and f"{host['host']}:{host['port']}" == primary.place), None
    )
    if params is None:
        return None
    await asyncio.sleep(RATE_LOOK_S)
    return (await _ask(params)).survey


def _is_local(host: str) -> bool:
    if host.startswith("/") or host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
