"""The exporter's program: samples the lab and answers ``GET /metrics``; Alertmanager tells it of alerts.

GET  /metrics   all figures                 GET  /healthz   that it lives
POST /alerts    Alertmanager's webhook; each alert becomes a line of ``alerts.jsonl`` in the host's folder
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Final

from outlast.clock import now_ns
from outlast.monitoring.exporter.alert_log import ALERTS_FILE
from outlast.monitoring.exporter.config import ExporterConfig
from outlast.monitoring.exporter.metrics import exposition
from outlast.monitoring.exporter.sampler import Sampler

ALERTS_BYTES_MAX: Final = 16 * 1024 * 1024
REQUEST_TIMEOUT_S: Final = 5.0
REQUEST_BYTES_MAX: Final = 4 * 1024 * 1024
METRICS_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"


def main() -> int:
    """Export until killed. argv[1] is the file that says what."""
    path = Path(sys.argv[1])
    # Both ends of a fork may be process 1 of their pid namespace, so asyncio can't tell the child from its parent.
    asyncio._set_running_loop(None)
    asyncio.run(serve(ExporterConfig.load(path), path.parent))
    return 0


async def serve(config: ExporterConfig, folder: Path) -> None:
    """Sample and answer until cancelled."""
    sampler = Sampler(config, folder)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            async with asyncio.timeout(REQUEST_TIMEOUT_S):
                await _answer(reader, writer, sampler, folder)
        writer.close()

    server = await asyncio.start_server(converse, config.address, config.port)
    async with server:
        await sampler.run()


async def _answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sampler: Sampler, folder: Path
) -> None:
    """Answer one connection's requests until the other side has had enough."""
    while head := await reader.readuntil(b"\r\n\r\n"):
        lines = head.decode("latin-1").split("\r\n")
        method, path, _version = lines[0].split(" ", 2)
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        length = int(headers.get("content-length", "0"))
        if length > REQUEST_BYTES_MAX:
            return
        body = await reader.readexactly(length)
        kind, status, content = "text/plain; charset=utf-8", "200 OK", b""
        match method, path.partition("?")[0]:
            case "GET", "/metrics":
                kind, content = METRICS_TYPE, exposition(sampler.state)
            case "GET", "/healthz" | "/":
                content = b"ok\n"
            case "POST", "/alerts":
                status = note_alerts(body, folder)
            case _:
                status, content = "404 Not Found", b"try /metrics or /healthz\n"
        writer.write(
            f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(content)}\r\n\r\n".encode()
            + content
        )
        await writer.drain()


def note_alerts(body: bytes, folder: Path) -> str:
    """Append each alert of an Alertmanager message to the host's file; returns the HTTP status."""
    try:
        alerts = json.loads(body)["alerts"]
        lines = [
            {
                "at_ns": now_ns(),
                "status": str(alert["status"]),
                "labels": dict(alert["labels"]),
                "annotations": dict(alert.get("annotations", {})),
                "started": str(alert.get("startsAt", "")),
            }
            for alert in alerts
        ]
    except (ValueError, KeyError, TypeError):
        return "400 Bad Request"
    place = folder / ALERTS_FILE
    try:
        if place.exists() and place.stat().st_size > ALERTS_BYTES_MAX:
            place.replace(place.with_suffix(".old"))
        with place.open("a") as file:
            file.writelines(json.dumps(line) + "\n" for line in lines)
    except OSError:
        return "507 Insufficient Storage"
    return "200 OK"
