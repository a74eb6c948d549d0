"""Makes Grafana's JSON of the catalogue: ``python -m outlast.monitoring.grafana.build`` writes the shipped files.

Needs grafana-foundation-sdk, which the ``dev`` extra brings; who uses the dashboards does not. A test holds the files
and the catalogue together.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as make
from grafana_foundation_sdk.builders import prometheus, statetimeline, table, timeseries
from grafana_foundation_sdk.builders import stat as stat_panel
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import DataSourceRef

from outlast.monitoring.grafana.catalogue import DASHBOARDS, FAULT_QUERY
from outlast.monitoring.grafana.model import Dashboard, DashboardPanel

FOLDER: Final = Path(__file__).parent / "dashboards"
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
HEIGHTS: Final = {"stat": 4, "timeseries": 8, "state-timeline": 6, "table": 8}
COLUMNS: Final = 24
_BUILDERS: Final[dict[str, Any]] = {
    "timeseries": timeseries.Panel,
    "stat": stat_panel.Panel,
    "state-timeline": statetimeline.Panel,
    "table": table.Panel,
}


def grafana_json(dashboard: Dashboard) -> str:
    """Return a dashboard as Grafana imports it, with a newline at its end."""
    builder = (
        make.Dashboard(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.about)
        .tags(["outlast", dashboard.system])
        .refresh("5s")
        .time("now-15m", "now")
        .timezone("utc")
        .with_variable(make.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    for row in dashboard.rows:
        builder = builder.with_row(make.Row(row.title))
        for panel in row.panels:
            builder = builder.with_panel(_panel(panel))
    document = json.loads(JSONEncoder(sort_keys=True).encode(builder.build()))
    for number, panel in enumerate(document["panels"], start=1):
        panel["id"] = number
    document["annotations"] = {"list": [_faults()] if dashboard.faults else []}
    document["id"] = None
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def _panel(panel: DashboardPanel) -> Any:
    builder = _BUILDERS[panel.kind]().title(panel.title).description(panel.about).unit(panel.unit)
    builder = builder.datasource(SOURCE).span(panel.width).height(HEIGHTS[panel.kind])
    for letter, query in zip("ABCDEF", panel.queries, strict=False):
        target = prometheus.Dataquery().expr(query.expr).ref_id(letter).datasource(SOURCE)
        builder = builder.with_target(target.legend_format(query.legend) if query.legend else target)
    return builder


def _faults() -> dict[str, Any]:
    return {
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "enable": True,
        "expr": FAULT_QUERY,
        "iconColor": "red",
        "name": "Faults",
        "step": "1s",
        "tagKeys": "fault,targets",
        "titleFormat": "{{fault}}",
        "textFormat": "{{targets}}",
    }


def main() -> None:
    """Write every dashboard to its file."""
    FOLDER.mkdir(exist_ok=True)
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.file}.json").write_text(grafana_json(dashboard))


if __name__ == "__main__":
    main()
