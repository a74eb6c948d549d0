"""A running Patroni cluster: how its primary is moved, and what an operator does to its nodes.

Each act asks Patroni where Patroni has a word for it. It has none for a node that leaves for good: its member key would
stay until its lease ends, and its slot, which holds WAL back, for member_slots_ttl, half an hour.
Source: Patroni documentation, "Patroni REST API" and "Dynamic Configuration Settings".
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping
from typing import Final

from outlast.config.cluster import NodeSpec, without_node
from outlast.errors import ClusterError
from outlast.hosts.base import Host
from outlast.systems.base import Role
from outlast.systems.etcd import member as etcd
from outlast.systems.patroni import settings
from outlast.systems.patroni.servers import MEMBER_FILE, PatroniServers
from outlast.systems.postgres.views import slot_names
from outlast.systems.wait import wait_for, wait_for_with_logs

MOVE_TIMEOUT_S: Final = 90.0
SYNC_TIMEOUT_S: Final = 10.0
ASK_TIMEOUT_S: Final = 10.0
READ_MARGIN_S: Final = 20.0
REST_TIMEOUT_S: Final = 30.0
COPY_TIMEOUT_S: Final = 900.0
"""For a base backup of whatever size a lab's database has."""

SLOT_TIMEOUT_S: Final = 30.0
OLD_DATA: Final = "outlast.old"
"""A file in a data directory that is to be replaced: when it is gone, so is the old data."""


class PatroniCluster(PatroniServers):
    """Servers under Patroni, with what can be asked of it."""

    # leadership

    async def switchover(self, target: str | None) -> str:
        """Have Patroni move the primary and return the new one. Raises ClusterError when it refuses."""
        leader = await self.leader_record()
        if leader is None:
            raise ClusterError(
                "there is no leader to switch over from", hint="outlast status says what there is"
            )
        if target == leader:
            raise ClusterError(f"{target} is the primary already")
        with contextlib.suppress(ClusterError):  # then Patroni says itself what it lacks
            await wait_for(
                self._sync_unknown, SYNC_TIMEOUT_S, "Patroni to write down its synchronous standby"
            )
        await self._ask_to_move(leader, "/switchover", {"leader": leader, "candidate": target})
        return await self._new_leader(leader)

    async def failover(self, target: str | None) -> str:
        """Have Patroni promote target, by default the standby that has replayed most."""
        view = await self.view()
        if target is None:
            standbys = [node for node in view.nodes if node.role is Role.STANDBY and node.healthy]
            if not standbys:
                raise ClusterError("there is no healthy standby to promote", hint="outlast status")
            target = max(standbys, key=lambda node: (node.sync in ("sync", "quorum"), node.lsn or 0)).name
        leader = await self.leader_record()
        await self._ask_to_move(leader or target, "/failover", {"candidate": target})
        return await self._new_leader(leader)

    async def obstacles(self) -> Mapping[str, str]:
        """Return why Patroni would not promote a standby: what its member and its tags say, and the pause.

        Source: Patroni's Ha.is_failover_possible and Patroni.nofailover.
        """
        looks = await asyncio.gather(*(self._look(node) for node in self.spec.nodes))
        found = {}
        for node, look in zip(self.spec.nodes, looks, strict=True):
            if look.server is not None and not look.server.in_recovery:
                continue
            tags = look.manager.field("tags") if look.manager is not None else None
            if not self.lab.hosts[node.name].is_on:
                found[node.name] = "its host is off"
            elif look.manager is None:
                found[node.name] = "its Patroni does not answer"
            elif look.manager.field("pause"):
                found[node.name] = "Patroni is paused: it does nothing by itself"
            elif look.server is None:
                found[node.name] = "its PostgreSQL does not answer"
            elif isinstance(tags, Mapping) and not settings.may_lead(tags):
                found[node.name] = "it is tagged nofailover, or has the priority 0"
        return found

    async def is_candidate(self, node: str) -> bool:
        """Return whether a node's own file lets it be promoted. Raises ClusterError."""
        return settings.may_lead(await self._tags(node))

    async def set_candidate(self, node: str, on: bool) -> None:
        """Change the node's ``nofailover`` tag, have its Patroni read it, and wait until etcd shows it."""
        host = self.lab.hosts[node]
        try:
            document = json.loads(await host.get(MEMBER_FILE))
            tags = {key: value for key, value in document.get("tags", {}).items() if key != "nofailover"}
            if settings.may_lead(tags) is not on:  # said outright, it outranks a priority
                tags["nofailover"] = not on
            document["tags"] = tags
            await host.put(MEMBER_FILE, json.dumps(document, indent=1).encode())
            answer = await self.rest(node, "POST", "/reload")
        except (OSError, ValueError) as error:
            raise ClusterError(f"{node} could not be told whether it may lead: {error}") from error
        if answer.status not in (200, 202):
            raise ClusterError(f"Patroni on {node} refused to reload: {answer.status} {answer.body}")

        async def unmet() -> str:
            tags = await self._tags(node)
            return "" if settings.may_lead(tags) is on else f"its tags are {dict(tags)}"

        await wait_for(unmet, MOVE_TIMEOUT_S, f"{node} to {'be' if on else 'be no'} candidate")

    async def restart(self, node: str) -> None:
        """Have Patroni restart a node's server. Raises ClusterError when it refuses."""
        answer = await self.rest(node, "POST", "/restart", {}, timeout_s=MOVE_TIMEOUT_S)
        if answer.status != 200:
            raise ClusterError(f"Patroni did not restart {node}: {answer.status} {answer.body}")

    async def started_at(self, node: str) -> str | None:
        """Return when a node's server started; None when its manager or it does not answer."""
        answer = await self.manager(node)
        return None if answer is None else str(answer.field("postmaster_start_time"))

    # nodes and settings

    async def set_parameters(self, parameters: Mapping[str, str]) -> None:
        """Put parameters into Patroni's configuration and wait until every Patroni has read it."""
        asked = int(time.time())
        await self.configure({"postgresql": {"parameters": dict(parameters)}})

        async def unmet() -> str:
            for node in self.spec.nodes:
                answer = await self.manager(node.name)
                if answer is None:
                    continue  # it reads the configuration when it starts
                if answer.field("pending_restart"):
                    continue
                seen = answer.field("dcs_last_seen")
                # In whole seconds; what it has read takes effect at the end of the same round of its loop.
                if not isinstance(seen, int) or seen <= asked + 1:
                    return f"{node.name} has not read it"
            return ""

        await wait_for(
            unmet, settings.timing(self.spec).loop_wait * 2 + READ_MARGIN_S, "Patroni's new settings"
        )

    async def configure(self, change: settings.Document) -> None:
        """Change Patroni's configuration in its store. Raises ClusterError when nobody takes it."""
        said = "no Patroni answers"
        for node in self.spec.nodes:
            try:
                answer = await self.rest(node.name, "PATCH", "/config", change, timeout_s=ASK_TIMEOUT_S)
            except OSError:
                continue
            if answer.status == 200:
                return
            said = f"{node.name}: {answer.status} {answer.body}"
        raise ClusterError(f"Patroni did not take {json.dumps(change)}: {said}")

    async def reseed(self, node: str) -> None:
        """Have Patroni copy the primary anew to a node."""
        host = await self.require_reseedable(node)
        await self.start_node(node)
        data = host.folder / "data"
        if data.is_dir():
            await host.put(f"data/{OLD_DATA}", b"")

        async def refused() -> str:
            try:
                answer = await self.rest(
                    node,
                    "POST",
                    "/reinitialize",
                    {"force": True, "from_leader": True},
                    timeout_s=ASK_TIMEOUT_S,
                )
            except OSError as error:
                return f"its REST API does not answer ({error})"
            return "" if answer.status == 200 else f"it says {answer.status}: {answer.body}"

        await wait_for_with_logs(refused, REST_TIMEOUT_S, f"Patroni on {node} to reseed it", self, [node])

        async def unmet() -> str:
            if (data / OLD_DATA).exists():
                return "its old data is there yet"
            return await self._not_streaming(node)

        await wait_for_with_logs(unmet, COPY_TIMEOUT_S, f"{node} to stream from a new copy", self, [node])

    async def add_node(self, node: NodeSpec) -> None:
        """Make a host for a node and have Patroni copy the primary to it. Raises ClusterError, HostError."""
        await self.join_host(node)
        await self.start_node(node.name)
        await self.wait_until_streaming(node.name)

    async def remove_node(self, node: str) -> None:
        """Stop a node in order, have Patroni and every server forget it, and remove its host."""
        from patroni.dcs import (
            slot_name_from_member_name,  # here: most commands need nothing of Patroni's code
        )

        spec = self.spec
        left = [one for one in spec.nodes if one.name != node]
        if self.lab.hosts.get(node) is not None:
            await self.require_standby(node, "removed", must_be_on=False)
            if spec.sync == "strict" and len(left) == 1:
                raise ClusterError(
                    f"{node} is the last standby, and sync=strict refuses writes without one",
                    hint="outlast add-node first",
                )
            await self.stop_node(node)
            await self.lab.remove_host(node)
        primary = await self.primary()
        self.spec = without_node(spec, node, primary or left[0].name)
        await etcd.delete(self.lab, spec.dcs, f"/service/{spec.name}/members/{node}")
        await self._forget_slot(slot_name_from_member_name(node))

    async def require_standby(self, node: str, act: str, *, must_be_on: bool = True) -> Host:
        """Return a standby's host. Raises ClusterError for the primary, for the leader in etcd, and without etcd."""
        view = await self.view()
        try:
            leader = await self.leader_record()
        except ConnectionError as error:
            raise ClusterError(
                "etcd does not answer, so nothing can be changed", hint="outlast doctor"
            ) from error
        return self.standby_host(node, act, view.primary, leader, *view.primaries, must_be_on=must_be_on)

    async def wait_until_streaming(self, node: str) -> None:
        """Wait until Patroni calls a node a streaming standby. Raises ClusterError with its last log lines."""
        await wait_for_with_logs(
            lambda: self._not_streaming(node), COPY_TIMEOUT_S, f"{node} to stream", self, [node]
        )

    # parts

    async def _ask_to_move(self, asked: str, path: str, body: Mapping[str, str | None]) -> None:
        wanted = {key: value for key, value in body.items() if value is not None}
        try:
            answer = await self.rest(asked, "POST", path, wanted, timeout_s=MOVE_TIMEOUT_S)
        except OSError as error:
            raise ClusterError(f"Patroni on {asked} did not answer: {error}") from error
        if answer.status != 200:
            raise ClusterError(f"Patroni refused the {path[1:]}: {answer.status} {answer.body}")

    async def _sync_unknown(self) -> str:
        """Return "" once the synchronous standby stands in etcd, seconds after it has become one.

        Patroni moves the primary to no other. https://patroni.readthedocs.io/en/latest/replication_modes.html
        """
        if self.spec.sync == "off" or await self._sync_record():
            return ""
        return "none is recorded"

    async def _new_leader(self, old: str | None) -> str:
        """Wait until another node than old leads and takes writes; return it."""
        leader: str | None = None

        async def unmet() -> str:
            nonlocal leader
            leader = await self._leader_or_none()
            return "" if leader not in (None, old) and await self.primary() == leader else f"{leader} leads"

        await wait_for(unmet, MOVE_TIMEOUT_S, "the new primary")
        assert leader is not None
        return leader

    async def _tags(self, node: str) -> Mapping[str, object]:
        """Return a member's tags as etcd holds them: what the leader goes by when it looks for candidates."""
        path = f"/service/{self.spec.name}/members/{node}"
        try:
            record = json.loads(await etcd.get(self.lab, self.spec.dcs, path) or "{}")
        except (ConnectionError, ValueError) as error:
            raise ClusterError(f"etcd does not say who {node} is: {error}") from error
        tags = record.get("tags")
        return tags if isinstance(tags, dict) else {}

    async def _forget_slot(self, slot: str) -> None:
        """Have Patroni drop the slot of a member that has left, on every node.

        It drops those of all absent members, so nothing is done while another is absent: then the slot goes by itself
        after member_slots_ttl.
        """
        view = await self.view()
        if any(not node.healthy for node in view.nodes if node.role is not Role.DCS):
            return
        before = self.spec.patroni.get("member_slots_ttl")
        await self.configure({"member_slots_ttl": 0})

        async def held() -> str:
            for node in self.spec.nodes:
                connection = await self.connect(node.name)
                async with connection:
                    if slot in await slot_names(connection):
                        return f"{node.name} has it"
            return ""

        try:
            await wait_for(held, SLOT_TIMEOUT_S, f"the slot {slot} to go")
        finally:
            await self.configure({"member_slots_ttl": before})

    async def _not_streaming(self, node: str) -> str:
        view = await self.view()
        shown = view.node(node)
        return "" if shown.state == "streaming" and shown.healthy else f"it is {shown.state}"
