"""The soak's files and what it says: exact lines, written as they happen, so that they are there however it ends.

    test-<ts>.log        every line, as on the screen
    results-<ts>.log     the node lines of every validation
    failovers-<ts>.log   one line a promotion
    row-counts-<ts>.csv  one row a validation
    summary-report.txt   at the end: configuration, criteria, results, failovers

Names and lines are those of the documents' PowerShell test, so that what reads the one reads the other.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Final, TextIO

from outlast.errors import ConfigError

TITLE: Final = "PostgreSQL HA Cluster"
RULE: Final = "=" * 32

Screen = Callable[[str], None]


class Diary:
    """Writes the files of one soak. folder: made when it is not there. screen: shows each line as well.

    Raises ConfigError when the folder can't be written to.
    """

    def __init__(self, folder: Path, nodes: int, screen: Screen) -> None:
        self._screen = screen
        self.stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
        self.folder = folder
        names = {
            "log": f"test-{self.stamp}.log",
            "results": f"results-{self.stamp}.log",
            "failovers": f"failovers-{self.stamp}.log",
            "row_counts": f"row-counts-{self.stamp}.csv",
            "summary": "summary-report.txt",
        }
        self.files = {kind: folder / name for kind, name in names.items()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._open: dict[str, TextIO] = {
                kind: _appending(self.files[kind]) for kind in ("log", "results", "failovers", "row_counts")
            }
            self.summary(["The soak has not ended."])
        except OSError as error:
            raise ConfigError(
                f"cannot be written to: {error.strerror or error}", key="--log-dir", file=str(folder)
            ) from error
        self._rows = csv.writer(self._open["row_counts"], lineterminator="\n")
        self._rows.writerow(
            [
                "Timestamp",
                "ElapsedSeconds",
                "TakeoverCount",
                "TotalRows",
                *(f"Node{number}" for number in range(1, nodes + 1)),
                "HealthyNodes",
                "Status",
            ]
        )

    def __enter__(self) -> Diary:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        for file in self._open.values():
            file.close()

    def line(self, words: str, level: str = "INFO") -> None:
        """Say and write one line. level: INFO, FAILOVER, REPORT, SUCCESS or WARNING."""
        entry = f"[{datetime.now():%H:%M:%S}] [{level}] {words}"
        self._screen(entry)
        self._open["log"].write(entry + "\n")

    def node(self, line: str) -> None:
        """Say a node's counts; they go to the results, too."""
        self.line(line, "REPORT")
        self._open["results"].write(line + "\n")

    def promoted(self, node: str) -> None:
        """Note a promotion."""
        self.line(f"✓ {node} promoted to primary", "FAILOVER")
        self._open["failovers"].write(f"{datetime.now():%Y-%m-%d %H:%M:%S} - Promoted {node} to primary\n")

    def counts(
        self,
        elapsed_s: float,
        takeovers: int,
        total: int | None,
        nodes: Sequence[int | None],
        healthy: int,
        status: str,
    ) -> None:
        """Add a row of counts; a node that did not answer has none."""
        row = [f"{datetime.now():%Y-%m-%d %H:%M:%S}", int(elapsed_s), takeovers, _blank(total)]
        self._rows.writerow([*row, *(_blank(count) for count in nodes), healthy, status])

    def summary(self, lines: Sequence[str]) -> None:
        """Write the summary report, in place of any earlier one."""
        self.files["summary"].write_text("\n".join(lines) + "\n", encoding="utf-8")

    def written(self, kind: str) -> list[str]:
        """Return the lines of one of the files so far."""
        return self.files[kind].read_text(encoding="utf-8").splitlines()


def node_line(name: str, counts: tuple[int, int, int, int] | None) -> str:
    """Return a node's line of a validation report; counts: total, inserts, updates, deletes."""
    total, inserts, updates, deletes = ("ERROR",) * 4 if counts is None else map(str, counts)
    return f"{name} | Total: {total} | Inserts: {inserts} | Updates: {updates} | Deletes: {deletes}"


def progress_line(elapsed_s: float, duration_s: float, healthy: int, nodes: int) -> str:
    """Return the line that is shown while the soak runs."""
    elapsed = min(int(elapsed_s), int(duration_s))
    left = int(duration_s) - elapsed
    return (
        f"[{elapsed}/{duration_s:g}] Elapsed: {elapsed // 60:02d}m {elapsed % 60:02d}s | "
        f"Remaining: {left // 60:02d}m {left % 60:02d}s | Nodes: {healthy}/{nodes}"
    )


def _appending(path: Path) -> TextIOWrapper:
    return path.open("a", buffering=1, encoding="utf-8")


def _blank(count: int | None) -> int | str:
    return "" if count is None else count
