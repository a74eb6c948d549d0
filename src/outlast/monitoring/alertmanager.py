"""Alertmanager on a host of the lab: its configuration, and how it is started.

Every alert goes, alone and at once, to the exporter's ``/alerts``, which writes down when it came.
"""

from __future__ import annotations

import json
from typing import Final

from outlast.hosts.base import Host, Program
from outlast.monitoring.prometheus import GO_ENV
from outlast.systems.postgres.seed import POSTGRES_UID
from outlast.systems.programs import program

PORT: Final = 9093
PROGRAM: Final = "prometheus-alertmanager"
PROCESS: Final = "prometheus-aler"
LOG: Final = "log/alertmanager.log"


def configuration(receiver: str | None) -> str:
    """Return alertmanager.yml. receiver: the URL that is told of every alert, None where there is none."""
    document = {
        "route": {
            "receiver": "exporter",
            "group_by": ["..."],
            "group_wait": "0s",
            "group_interval": "1s",
            "repeat_interval": "4h",
        },
        "receivers": [
            {
                "name": "exporter",
                "webhook_configs": [{"url": receiver, "send_resolved": True}] if receiver else [],
            },
        ],
    }
    return json.dumps(document, indent=1)


async def start(host: Host, text: str) -> None:
    """Write the configuration and start Alertmanager, alone: it looks for no peers."""
    config = await host.put("alertmanager.yml", text.encode())
    await host.spawn(
        Program(
            PROCESS,
            [
                program(PROGRAM),
                f"--config.file={config}",
                f"--storage.path={host.folder / 'data'}",
                f"--web.listen-address={host.address}:{PORT}",
                "--cluster.listen-address=",
                "--data.retention=24h",
                "--log.level=warn",
            ],
            LOG,
            env=GO_ENV,
            uid=POSTGRES_UID,
        )
    )
