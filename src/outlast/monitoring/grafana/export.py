"""Writes the dashboards for a person's own Grafana: their JSON, and the provisioning files that make it load them."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Final

from outlast.errors import UnavailableError
from outlast.monitoring.grafana.catalogue import DASHBOARDS

DASHBOARDS_FOLDER: Final = "dashboards"
PROVISIONING_FOLDER: Final = "provisioning"


def dashboard_json(file: str) -> str:
    """Return a shipped dashboard, by its file's name without .json."""
    return (files("outlast.monitoring.grafana") / "dashboards" / f"{file}.json").read_text()


def write_all(folder: Path, prometheus_url: str) -> list[Path]:
    """Write every dashboard and the provisioning files below folder, and return what was written.

    prometheus_url: where that Grafana finds Prometheus. Raises UnavailableError when folder can't be written.
    """
    place = (folder / DASHBOARDS_FOLDER).absolute()
    source = {
        "apiVersion": 1,
        "datasources": [
            {
                "name": "Outlast",
                "type": "prometheus",
                "access": "proxy",
                "url": prometheus_url,
                "isDefault": True,
            }
        ],
    }
    provider = {
        "apiVersion": 1,
        "providers": [
            {"name": "outlast", "folder": "Outlast", "type": "file", "options": {"path": str(place)}}
        ],
    }
    texts = {place / f"{one.file}.json": dashboard_json(one.file) for one in DASHBOARDS}
    texts[folder / PROVISIONING_FOLDER / "datasources" / "outlast.yaml"] = json.dumps(source, indent=1) + "\n"
    texts[folder / PROVISIONING_FOLDER / "dashboards" / "outlast.yaml"] = (
        json.dumps(provider, indent=1) + "\n"
    )
    try:
        for path, text in texts.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    except OSError as error:
        raise UnavailableError(
            f"cannot write {error.filename or folder}: {error.strerror}",
            hint="choose a folder you may write to",
        ) from error
    return list(texts)
