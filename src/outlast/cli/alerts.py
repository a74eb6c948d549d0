"""``outlast drill alerts``: does each alert fire on its cause, how late, and never without."""

from __future__ import annotations

from typing import TYPE_CHECKING

from outlast.alerts.drill import AlertReport, check_watched, run_alert_drill
from outlast.cli.output import OUT, Reporter, say, table
from outlast.clusters import lifecycle
from outlast.report.literal import literal_text

if TYPE_CHECKING:
    from pathlib import Path

    from outlast.config import ClusterSpec


async def drill_alerts(
    spec: ClusterSpec, lab: str | None, seed: int, keep: bool, folder: Path, progress: Reporter
) -> AlertReport:
    """Run the drill on a lab that is up and watched, or on a fresh one."""
    if lab is not None:
        return await run_alert_drill(
            lifecycle.attach(lab), seed=seed, folder=folder, say=progress, throwaway=False
        )
    async with lifecycle.temporary(spec, lifecycle.free_name("alerts"), progress, keep=keep) as up:
        check_watched(up.cluster)
        return await run_alert_drill(up.cluster, seed=seed, folder=folder, say=progress, throwaway=not keep)


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
