"""What a soak says at its end: the final comparison, every criterion with its figure, the summary report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from outlast.checkers.base import Verdict
from outlast.history.history import JSON
from outlast.report.findings import CheckResult
from outlast.run.conclude import RunResult
from outlast.soak.cost import CostFigures
from outlast.soak.diary import RULE, TITLE, Diary
from outlast.soak.figures import SoakFigures
from outlast.systems.base import Cluster
from outlast.workloads.soak_writer import TABLE

WIDTH: Final = 60
_ROLES: Final = {"primary": "Primary", "standby": "Standby", "read-only": "Read-Only"}


def close(diary: Diary, outcome: RunResult, cluster: Cluster, measured: SoakFigures) -> None:
    """Say how it ended and write the summary report."""
    say = diary.line
    say(RULE)
    ended = measured.ended or ""
    passed = outcome.verdict is Verdict.PASS
    say("Test Completed Successfully!" if passed else f"Test Failed{': ' + ended if ended else ''}")
    say(RULE)
    final = _final_lines(diary, outcome, cluster)
    criteria = criterion_lines(outcome.report().checks)
    for words, good in criteria:
        say(words, "SUCCESS" if good else "WARNING")
    figures = figure_lines(measured)
    for words in figures:
        say(words, "REPORT")
    verdict = f"Verdict: {outcome.verdict.value.upper()}" + (f" ({ended})" if ended else "")
    say(verdict, "SUCCESS" if passed else "WARNING")
    times = measured.times
    nodes = [
        f"- {node.name} ({_port(cluster, node.name)}): {_ROLES[node.role]}" for node in cluster.spec.nodes
    ]
    diary.summary(
        [
            f"{TITLE} - Soak Test Summary",
            "=" * WIDTH,
            f"Test Date: {datetime.now():%Y-%m-%d %H:%M:%S}",
            verdict,
            "",
            "Node Configuration:",
            *nodes,
            "",
            "Test Configuration:",
            f"- System: {outcome.document.system}, profile {outcome.document.profile}, sync {cluster.spec.sync}",
            f"- Duration: {_shown(times.duration_s)} seconds",
            f"- Failover Interval: {_shown(times.failover_interval_s)} seconds",
            f"- Validation Interval: {_shown(times.validation_interval_s)} seconds",
            f"- Repeat: {outcome.document.replay}",
            f"- Store: {outcome.folder.name}",
            "",
            "Criteria:",
            *(words for words, _ in criteria),
            "",
            "Final Comparison:",
            *final,
            "",
            "Figures:",
            *figures,
            "",
            "Test Results:",
            *diary.written("results"),
            "",
            "Failover Events:",
            *diary.written("failovers"),
        ]
    )


def _final_lines(diary: Diary, outcome: RunResult, cluster: Cluster) -> list[str]:
    """Say what each node held at the end, once all had replayed the same position."""
    diary.line("FINAL VALIDATION", "REPORT")
    final = outcome.history.final
    held = {content.node: content for content in final.contents} if final is not None else {}
    lines, counts = [], []
    for node in cluster.spec.nodes:
        count = str(held[node.name].row_counts.get(TABLE, 0)) if node.name in held else "ERROR"
        counts.append(count)
        lines.append(f"Final Row Count on {node.name} : {count}")
        diary.line(lines[-1], "REPORT")
    hashes = {content.table_hashes.get(TABLE) for content in held.values()}
    if len(set(counts)) == 1 and len(hashes) == 1 and "ERROR" not in counts:
        said, level = [f"✓ All nodes consistent: All have {counts[0]} rows"], "SUCCESS"
    elif len(set(counts)) == 1 and "ERROR" not in counts:
        said, level = ["⚠ Inconsistency detected: Row counts are equal, contents are not!"], "WARNING"
    else:
        said, level = (
            ["⚠ Inconsistency detected: Row counts vary!", f"Counts: {', '.join(counts)}"],
            "WARNING",
        )
    for words in said:
        diary.line(words, level)
    return lines + said


def criterion_lines(checks: Sequence[CheckResult]) -> list[tuple[str, bool]]:
    """Return each criterion as a line with its figure, limit and margin, and whether it holds."""
    lines = []
    for check in checks:
        good = check.verdict is Verdict.PASS
        figure = ""
        if check.limit is not None:
            figure = f" [value {_shown(check.value)}, limit {_shown(check.limit)}"
            figure += f", margin {_shown(check.margin)}]" if check.margin is not None else "]"
        lines.append((f"{'PASS' if good else 'FAIL'} {check.name}: {check.summary}{figure}", good))
    return lines


def figure_lines(measured: SoakFigures) -> list[str]:
    """Return the figures that no criterion holds: outages, catch-up windows, latencies, reads."""
    lines = [
        f"Failover at {failover.at_s} s, {failover.source} to {failover.to}: outage {_shown(failover.outage_s)} s, "
        f"caught up after {_shown(failover.catch_up_s)} s"
        for failover in measured.failovers
    ]
    for words, latency in (("without", measured.without_reads), ("with", measured.with_reads)):
        lines.append(
            f"Writer {words} read load: p50 {_shown(latency.p50_ms)} ms, "
            f"p99 {_shown(latency.p99_ms)} ms ({latency.samples} inserts)"
        )
    lines += [f"Reads on {node}: {count}" for node, count in measured.reads.items()]
    return lines + _cost_lines(measured.cost)


def _cost_lines(cost: CostFigures) -> list[str]:
    lines = [f"Writer and readers: {_percent(cost.cpu_share)} of a core"]
    for name, words in (("writer", "Writer"), ("readers", "Readers"), ("tool", "This program")):
        memory = cost.memory[name]
        slope = memory.slope_mib_per_h
        grows = "" if slope is None else f", growing by {_shown(slope)} MiB an hour"
        lines.append(
            f"{words}: {_percent(cost.shares[name])} of a core, {_shown(memory.last_mib)} MiB{grows}"
        )
    return lines


def _percent(share: float | None) -> str:
    return "none seen" if share is None else f"{100 * share:.1f} %"


def _port(cluster: Cluster, node: str) -> str:
    published = cluster.lab.published.get(node)
    return "not published" if published is None else str(published.port)


def _shown(value: JSON) -> str:
    if value is None:
        return "none"
    return f"{value:.3f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
