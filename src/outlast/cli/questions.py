"""``outlast up -i``: asks on a terminal what the cluster should be, shows the file that says so, and may keep it.

Every answer is tried at once, with those before it: one that makes no sound cluster, or none that this machine can run,
is told why and asked again. What was given as an option is not asked. Questions go to stderr.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click
from ruamel.yaml import YAML

from outlast.cli.output import ERR, write_file
from outlast.clusters.lifecycle import free_name, lab_folder
from outlast.clusters.system_registry import system, system_names
from outlast.config import ClusterSpec, load_cluster, preset_names, to_document
from outlast.config.loader import load_clusters
from outlast.config.overrides import parse_override
from outlast.datasets.load import check_dataset
from outlast.errors import ConfigError, OutlastError
from outlast.monitoring.services import with_monitoring
from outlast.report.literal import literal_text
from outlast.routes.registry import with_route
from outlast.systems.postgres.backup import with_archive

SERVERS: Final = ("patroni", "pg_auto_failover", "pgpool", "streaming")
SUFFIXES: Final = (".yaml", ".yml")


@dataclass(frozen=True, slots=True)
class Answers:
    """What was asked for. name: of the lab. up: whether it is to be brought up now."""

    spec: ClusterSpec
    name: str
    up: bool


def ask(what: str, overrides: Sequence[str], name: str | None, extras: Sequence[str]) -> Answers:
    """Ask for a cluster, starting from a preset or file and what was set already.

    Raises ConfigError where nobody can be asked, and for a file of several clusters; click.Abort when the person
    gives up.
    """
    if not sys.stdin.isatty():
        raise ConfigError("asks on a terminal, and stdin is none", key="-i", hint="give options or a file")
    if len(load_clusters(what, overrides)) > 1:
        raise ConfigError(f"{what} describes several clusters", key="-i", hint="without -i all come up")
    asked = _Asked(what, list(overrides))
    asked.system()
    asked.members()
    for key, words in (
        ("sync", "Commits wait for a standby: off, on, strict or quorum"),
        ("profile", "Timing: default (the manager's own) or fast (its fastest)"),
    ):
        asked.setting(key, words)
    if asked.spec().system in SERVERS:
        asked.setting("dataset", "Data to start with: null, healthcare, shop or ha-test")
        asked.setting("backup", "Archive with pgBackRest, for backups: off or on")
        asked.route()
    asked.monitoring(wanted="monitoring" in extras)
    asked.ports()
    spec = asked.spec()
    lab = name or _valid("Name of the lab", free_name(spec.name), _check_name)
    text = written(spec)
    ERR.print(literal_text(f"\n{text}"))
    file = _valid("Keep this as a file (.yaml); empty: no", "", _check_file)
    if file:
        write_file(file, text)
    return Answers(spec, lab, click.confirm("Bring it up now", default=True, err=True))


class _Asked:
    """The cluster so far: a source, and the overrides that answers and options make. Later ones win, options last."""

    def __init__(self, source: str, given: list[str]) -> None:
        self._source = source
        self._given = given
        self._answers: list[str] = []
        self._route: str | None = None
        self._monitored = False
        self._keys = {parse_override(text).path[0] for text in given}

    def spec(self, *more: str, route: str | None = None) -> ClusterSpec:
        """Return the cluster, with more answers. Raises ConfigError or UnavailableError for what can't be."""
        spec = load_cluster(self._source, [*self._answers, *more, *self._given])
        spec = with_route(spec, route or self._route)
        spec = with_monitoring(spec) if self._monitored else spec
        check_dataset(spec)
        kind = system(spec.system)
        if reason := kind.available(with_archive(spec, lab_folder("asked"))):
            raise ConfigError(f"{spec.system} cannot run here: {reason}")
        return spec

    def system(self) -> None:
        """Ask for the system, unless it is given; another than the source's begins from that one's preset."""
        own = load_cluster(self._source, self._given).system
        if "system" in self._keys or self._source not in preset_names():
            return

        def check(answer: str) -> None:
            if answer not in system_names():
                raise ConfigError(
                    f"there is no system {answer}", hint=f"there is: {', '.join(system_names())}"
                )
            source = self._source
            self._source = source if answer == own else answer
            try:
                self.spec()
            except OutlastError:
                self._source = source
                raise

        _valid(f"System: {', '.join(system_names())}", own, check)

    def members(self) -> None:
        """Ask how many nodes there are, how many of these only serve reads, and how many members of the DCS."""
        spec = self.spec()
        count = len(spec.nodes)
        readers = sum(node.role == "read-only" for node in spec.nodes)
        if "nodes" not in self._keys:
            wanted = int(
                _valid(
                    "Nodes", str(count), lambda text: self._check(f"nodes={_number(text)}"), accept=str(count)
                )
            )
            if wanted != count:
                self._answers.append(f"nodes={wanted}")
                self._drop_ports()
                count, readers = wanted, 0
            if spec.system in SERVERS and count > 1:
                self._readers(count, readers)
        if spec.system == "patroni":
            self.setting("dcs", "Members of etcd: 1, 3 or 5", now=str(len(self.spec().dcs)))

    def _readers(self, count: int, now: int) -> None:
        def nodes(text: str) -> str:
            many = int(_number(text))
            if many >= count:
                raise ConfigError(f"at most {count - 1}: one node is the primary")
            roles = ["primary", *["standby"] * (count - 1 - many), *["read-only"] * many]
            return f"nodes=[{', '.join(f'{{role: {role}}}' for role in roles)}]"

        words = "How many of these only serve reads"
        answer = _valid(words, str(now), lambda text: self._check(nodes(text)), accept=str(now))
        if answer != str(now):
            self._answers.append(nodes(answer))
            self._drop_ports()

    def _drop_ports(self) -> None:
        """Other nodes than the source's have other names: what that pins for its own is free."""
        self._answers.append("ports={}")

    def setting(self, key: str, words: str, now: str | None = None) -> None:
        """Ask for one setting, unless it is given."""
        if key in self._keys:
            return
        value = now if now is not None else _said(to_document(self.spec())[key])
        answer = _valid(words, value, lambda text: self._check(f"{key}={text}"), accept=value)
        if answer != value:
            self._answers.append(f"{key}={answer}")
            if key == "dcs":
                self._drop_ports()

    def route(self) -> None:
        """Ask what clients come through."""
        if self.spec().system == "pgpool" or "services" in self._keys:
            return

        def check(answer: str) -> None:
            if answer not in ("none", "haproxy", "pgbouncer"):
                raise ConfigError(f"is none, haproxy or pgbouncer, not {answer}")
            self.spec(route=None if answer == "none" else answer)

        there = [one.kind for one in self.spec().services if one.kind in ("haproxy", "pgbouncer")]
        if there:
            return  # the source has one already
        answer = _valid("Before the nodes: none, haproxy or pgbouncer", "none", check)
        self._route = None if answer == "none" else answer

    def monitoring(self, *, wanted: bool) -> None:
        """Ask for Prometheus, Alertmanager and an exporter, unless they are wanted or there already."""
        there = any(one.kind == "prometheus" for one in self.spec().services)
        self._monitored = wanted or (
            not there and click.confirm("Prometheus, Alertmanager and an exporter", default=False, err=True)
        )

    def ports(self) -> None:
        """Ask where the nodes are published on 127.0.0.1."""
        if "ports" in self._keys:
            return

        def pinned(text: str) -> str:
            if text == "free":
                return "ports={}"
            names = [node.name for node in self.spec().nodes]
            first = int(_number(text))
            return f"ports={{{', '.join(f'{name}: {first + place}' for place, name in enumerate(names))}}}"

        now = "as it says" if self.spec().ports else "free"
        words = "Published on 127.0.0.1: the first node's port, or free"
        answer = _valid(words, now, lambda text: self._check(pinned(text)), accept=now)
        if answer != now:
            self._answers.append(pinned(answer))

    def _check(self, override: str) -> None:
        self.spec(override)


def written(spec: ClusterSpec) -> str:
    """Return a cluster file that loads to an equal specification: only what is not the default anyway."""
    document = to_document(spec)
    count = len(spec.nodes)
    plainest = to_document(
        ClusterSpec(name=spec.name, system=spec.system, nodes=count, sync="off")  # type: ignore[arg-type]
    )
    kept = {
        key: value
        for key, value in document.items()
        if key in ("name", "system") or value != plainest.get(key)
    }
    if "nodes" not in kept:
        kept["nodes"] = count
    if spec.system == "patroni" and "dcs" not in kept:
        kept["dcs"] = len(spec.dcs)
    order = ("name", "system", "nodes", "dcs", "services", "sync", "profile")
    kept = dict(sorted(kept.items(), key=lambda one: order.index(one[0]) if one[0] in order else len(order)))
    yaml, out = YAML(), io.StringIO()
    yaml.default_flow_style = None  # the innermost level on one line
    yaml.width = 110
    yaml.dump({key: _tidy(value) for key, value in kept.items()}, out)
    return out.getvalue()


def _tidy(value: object) -> object:
    """Return a value without what is empty or not set: a file has no use for it."""
    if isinstance(value, dict):
        return {key: _tidy(one) for key, one in value.items() if one not in (None, {}, [], "")}
    return [_tidy(one) for one in value] if isinstance(value, list) else value


def _valid(words: str, default: str, check: Callable[[str], None], accept: str | None = None) -> str:
    """Ask until check raises no error; its words are shown. accept: an answer that needs no check."""
    while True:
        answer = str(click.prompt(words, default=default, show_default=bool(default), err=True)).strip()
        if answer == accept:
            return answer
        try:
            check(answer)
        except OutlastError as error:
            ERR.print(literal_text(f"  {error.message}" + (f"; {error.hint}" if error.hint else "")))
        else:
            return answer


def _check_name(name: str) -> None:
    if lab_folder(name).exists():
        raise ConfigError(f"there is a lab {name} already")


def _check_file(name: str) -> None:
    if not name:
        return
    path = Path(name)
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"a cluster file ends with {' or '.join(SUFFIXES)}")
    if path.exists():
        raise ConfigError(f"{name} is there already")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {path.absolute().parent}")


def _number(text: str) -> str:
    if not text.isdecimal():
        raise ConfigError(f"{text!r} is no whole number")
    return text


def _said(value: object) -> str:
    if value is None:
        return "null"
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
