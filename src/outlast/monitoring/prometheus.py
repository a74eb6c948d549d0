"""Prometheus on a host of the lab: its configuration, and how it is started."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from ruamel.yaml import YAML

from outlast.hosts.base import Host, Program
from outlast.systems.postgres.seed import POSTGRES_UID
from outlast.systems.programs import program
from outlast.units import parse_duration_s

PORT: Final = 9090
PROGRAM: Final = "prometheus"
PROCESS: Final = "prometheus"
LOG: Final = "log/prometheus.log"
RULES_FILE: Final = "alerts.yml"
SCRAPE_S: Final = 1
SLOW_SCRAPE_S: Final = 15
RETENTION_TIME: Final = "24h"
RETENTION_SIZE: Final = "256MB"
GO_ENV: Final = {"GOMAXPROCS": "2", "GOGC": "25", "GOMEMLIMIT": "28MiB"}
"""For Go's programs on a small machine: collect sooner, hold less. The limit is a wish, and no reason to end."""


@dataclass(frozen=True, slots=True)
class ScrapeJob:
    """What Prometheus asks. targets: address:port → labels; keep: a regular expression of metric names, "" for all."""

    name: str
    targets: Mapping[str, Mapping[str, str]]
    interval_s: int = SCRAPE_S
    keep: str = ""

    def document(self) -> dict[str, object]:
        """Return it as prometheus.yml holds it."""
        document: dict[str, object] = {
            "job_name": self.name,
            "scrape_interval": f"{self.interval_s}s",
            "scrape_timeout": f"{self.interval_s}s",
            "static_configs": [{"targets": [address], "labels": dict(labels)}
                               for address, labels in self.targets.items()],
        }  # fmt: skip
        if self.keep:
            document["metric_relabel_configs"] = [
                {"source_labels": ["__name__"], "regex": self.keep, "action": "keep"}
            ]
        return document


def rules() -> str:
    """Return our alerting rules, as Prometheus reads them."""
    return (files("outlast.monitoring") / "rules" / RULES_FILE).read_text()


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert of ours. expr: in PromQL. for_s: for how long it must hold."""

    name: str
    severity: str
    expr: str
    for_s: float


def alerts() -> tuple[Alert, ...]:
    """Return our alerts, in the order of their file."""
    groups = YAML(typ="safe", pure=True).load(rules())["groups"]
    return tuple(
        Alert(
            rule["alert"],
            rule["labels"]["severity"],
            " ".join(rule["expr"].split()),
            parse_duration_s(rule.get("for", 0)),
        )
        for group in groups
        for rule in group["rules"]
    )


def configuration(jobs: Sequence[ScrapeJob], alertmanager: str | None) -> str:
    """Return prometheus.yml, as JSON, which is YAML too. alertmanager: its address:port."""
    document: dict[str, object] = {
        "global": {
            "scrape_interval": f"{SCRAPE_S}s",
            "scrape_timeout": f"{SCRAPE_S}s",
            "evaluation_interval": "1s",
        },
        "rule_files": [RULES_FILE],
        "scrape_configs": [job.document() for job in jobs],
    }
    if alertmanager:
        document["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    return json.dumps(document, indent=1)


async def start(host: Host, text: str) -> None:
    """Write the configuration and start Prometheus. What it keeps is bounded in time and size."""
    await host.put(RULES_FILE, rules().encode())
    config = await host.put("prometheus.yml", text.encode())
    await host.spawn(
        Program(
            PROCESS,
            [
                program(PROGRAM),
                f"--config.file={config}",
                f"--storage.tsdb.path={host.folder / 'tsdb'}",
                f"--storage.tsdb.retention.time={RETENTION_TIME}",
                f"--storage.tsdb.retention.size={RETENTION_SIZE}",
                f"--web.listen-address={host.address}:{PORT}",
                "--rules.alert.resend-delay=1s",
                "--log.level=warn",
            ],
            LOG,
            env=GO_ENV,
            uid=POSTGRES_UID,
        )
    )
