"""A page on disk that is not what was written: one bit flipped, or the second half of a write missing.

On the disk only: what the server holds in memory stays as it is, until it reads the page again or writes it over. Data
checksums find it then. Source: PostgreSQL manual, "Data Checksums".
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from outlast.errors import ConfigError, HostError
from outlast.faults.base import Effect, Fault, Injection, Mechanism, Param, of_target
from outlast.faults.sql_fault import SqlFault, one_row
from outlast.history.history import JSON
from outlast.systems.base import Cluster

PAGE_BYTES: Final = 8192
_DATA: Final = "SELECT pg_relation_filepath('pg_catalog.pg_depend')"
_WAL: Final = """
SELECT 'pg_wal/' || name FROM pg_ls_waldir() WHERE name ~ '^[0-9A-F]{24}$' ORDER BY modification DESC, name DESC LIMIT 1
"""


class PageDamage(SqlFault):
    """Write to the file behind the server's back; it bit when the file holds what was not there before."""

    mechanism = Mechanism.FILE
    params = (
        Param("file", "data", "", "data: a page of a catalogue's table; wal: of the newest WAL segment"),
    )
    on = "one-standby"

    def __init__(self, name: str, about: str, *, torn: bool) -> None:
        self.name = name
        self.about = about
        self._torn = torn

    async def prepare(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Choose a page, read it, and decide what it becomes."""
        if params["file"] not in ("data", "wal"):
            raise ConfigError(f"file must be data or wal, got {params['file']!r}")
        chosen: dict[str, JSON] = {}
        for target in targets:
            (name,) = await one_row(cluster, target, _DATA if params["file"] == "data" else _WAL)
            path = cluster.lab.hosts[target].folder / "data" / name
            place, before = _some_page(path, rng)
            damaged = bytearray(before)
            if self._torn:
                damaged[PAGE_BYTES // 2 :] = bytes(PAGE_BYTES // 2)
            else:
                bit = rng.randrange(24 * 8, PAGE_BYTES * 8)
                damaged[bit // 8] ^= 1 << bit % 8
            chosen[target] = {"path": str(path), "at": place, "before": before.hex(), "after": damaged.hex()}
        return Injection(self.name, targets, params, {"pages": chosen})

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Write the damaged pages."""
        for target in injection.targets:
            page = _page(injection, target)
            _write(page, "after")

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Read them back."""
        words = []
        for target in injection.targets:
            page = _page(injection, target)
            words.append(f"{target}: {Path(page['path']).name} at byte {page['at']}")
            if _read(page) != bytes.fromhex(page["after"]):
                return Effect(False, f"{words[-1]} is not damaged")
        return Effect(True, f"damaged on disk: {'; '.join(words)}")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Put back what was there, unless the server has written the page since or the file has gone."""
        for target in injection.targets:
            page = _page(injection, target)
            if _read(page) == bytes.fromhex(page["after"]):
                _write(page, "before")


def _some_page(path: Path, rng: random.Random) -> tuple[int, bytes]:
    """Return the place and bytes of a page whose second half holds something."""
    try:
        with path.open("rb") as file:
            pages = path.stat().st_size // PAGE_BYTES
            for number in rng.sample(range(pages), pages):
                file.seek(number * PAGE_BYTES)
                page = file.read(PAGE_BYTES)
                if any(page[PAGE_BYTES // 2 :]):
                    return number * PAGE_BYTES, page
    except OSError as error:
        raise HostError(f"{path} cannot be read: {error.strerror}") from error
    raise HostError(f"{path} holds no page with anything in its second half")


def _page(injection: Injection, target: str) -> dict[str, str]:
    found = of_target(injection, "pages", target)
    assert isinstance(found, Mapping)
    return {key: str(value) for key, value in found.items()}


def _read(page: Mapping[str, str]) -> bytes:
    try:
        with Path(page["path"]).open("rb") as file:
            file.seek(int(page["at"]))
            return file.read(PAGE_BYTES)
    except OSError:
        return b""


def _write(page: Mapping[str, str], key: str) -> None:
    try:
        with Path(page["path"]).open("r+b") as file:
            file.seek(int(page["at"]))
            file.write(bytes.fromhex(page[key]))
    except OSError as error:
        raise HostError(f"{page['path']} cannot be written: {error.strerror}") from error


FAULTS: Final[tuple[Fault, ...]] = (
    PageDamage("bit_flip", "one bit of a page on disk is not what was written", torn=False),
    PageDamage("torn_page", "the second half of a page never reached the disk", torn=True),
)
