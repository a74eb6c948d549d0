"""``outlast drill alerts``: does each alert fire on its cause, how late, and never without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outlast.alerts.drill import AlertReport, check_watched, run_alert_drill
from outlast.cli.output import OUT, say, table
from outlast.report.literal import literal_text

if TYPE_CHECKING:
    from outlast.config import ClusterSpec
    from outlast.run.request import RunRequest


async def drill_alerts(spec: ClusterSpec, request: RunRequest) -> AlertReport:
    """Run the drill on a lab that is up and watched, or on a fresh one. Raises as run_alert_drill does."""
    async with request.cluster(spec, "alerts") as cluster:
        check_watched(cluster)
        throwaway = request.lab is None and not request.keep
        return await run_alert_drill(cluster, request, throwaway=throwaway)


def print_alerts(report: AlertReport) -> None:
    """Print what came of each alert, for a person."""
    say(f"alerts on {report.system}, profile {report.profile}: {report.verdict} in {report.duration_s:.0f} s")
    shown = table("alert", "fired", "delay", "false alarms", "cause")
    for row in report.rows:
        fired = "skipped" if row.skipped else "yes" if row.fired else "NO"
        delay = "" if row.delay_s is None else f"{row.delay_s:.1f} s"
        shown.add_row(row.alert, fired, delay, str(row.false_alarms), literal_text(row.skipped or row.cause))
    OUT.print(shown)
    for event, episode in report.false_alarms:
        say(f"false alarm: {event.name} while {episode.cause}")
    say(f"nothing was broken for {report.quiet_s:g} s")
