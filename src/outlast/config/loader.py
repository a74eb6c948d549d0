"""The way in: a preset, a file and --set, made into a ClusterSpec or a DrillSpec."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.resources import files
from pathlib import Path as FilePath

from pydantic import JsonValue

from outlast.config.balancer import BalancerCluster
from outlast.config.cluster import ClusterSpec
from outlast.config.document import Document, Place, parse_document, read_document
from outlast.config.drill import ClusterNeeds, DrillSpec
from outlast.config.formats.base import Path
from outlast.config.overrides import apply_overrides
from outlast.config.serialise import to_document
from outlast.config.settings import scope_of
from outlast.config.validate import settings_of, validate
from outlast.errors import ConfigError

_ROOT = files("outlast")
_PRESETS = "config/presets"
_SUFFIXES = (".yaml", ".yml", ".json", ".toml")


def load_cluster(
    source: str | FilePath, overrides: Sequence[str] = (), *, needs: ClusterNeeds | None = None
) -> ClusterSpec:
    """Return the cluster that a preset or a file describes.

    source: a preset's name or a path. overrides: ``key=value`` texts, the last one winning. needs: what a
    drill asks of its cluster; it outranks the source, and overrides outrank it. Raises ConfigError.
    """
    specs = load_clusters(source, overrides, needs=needs)
    if len(specs) > 1:
        names = ", ".join(spec.name for spec in specs)
        raise ConfigError(f"describes {len(specs)} clusters: {names}", file=str(source), key="balancers")
    return specs[0]


def load_clusters(
    source: str | FilePath, overrides: Sequence[str] = (), *, needs: ClusterNeeds | None = None
) -> tuple[ClusterSpec, ...]:
    """Return all clusters that a preset or a file describes: several when it is a balancer JSON that does.

    The arguments are those of load_cluster. Raises ConfigError.
    """
    document = _find(source, "preset", _shipped(_PRESETS))
    if "balancers" not in document.data:
        return (_cluster(_named(document, source), overrides, needs),)
    described = validate(BalancerCluster, document).clusters()
    places: dict[Path, Place] = {(): document.place(())}
    return tuple(_cluster(Document(to_document(spec), places), overrides, needs) for spec in described)


def load_balancers(path: str | FilePath) -> BalancerCluster:
    """Return what a balancer JSON says, in its own terms. Raises ConfigError."""
    return validate(BalancerCluster, read_document(FilePath(path)))


def load_any(source: str | FilePath) -> tuple[ClusterSpec, ...] | DrillSpec:
    """Return whatever a name or a file describes; a drill's keys make a drill. Raises ConfigError."""
    if str(source) in _drills():
        return load_drill(source)
    if str(source) in _shipped(_PRESETS):
        return load_clusters(source)
    keys = read_document(FilePath(source)).data
    return load_drill(source) if any(scope_of(key) == "drill" for key in keys) else load_clusters(source)


def _cluster(document: Document, overrides: Sequence[str], needs: ClusterNeeds | None) -> ClusterSpec:
    if needs is not None:
        for key, value in needs.settings.items():
            document = document.with_value((key,), value, Place("the drill's cluster"))
    document = apply_overrides(document, overrides, known=settings_of(ClusterSpec), what="cluster")
    return validate(ClusterSpec, document)


def load_drill(source: str | FilePath, overrides: Sequence[str] = ()) -> DrillSpec:
    """Return the drill of a name, in whichever suite it is, or the one in a file. Raises ConfigError."""
    document = _find(source, "drill", _drills())
    document = apply_overrides(document, overrides, known=settings_of(DrillSpec), what="drill")
    return validate(DrillSpec, _named(document, source))


def stored_drill(document: Mapping[str, JsonValue], file: str, overrides: Sequence[str] = ()) -> DrillSpec:
    """Return the drill of a stored document, as to_document wrote it, with overrides set.

    Raises ConfigError naming file, or the override.
    """
    found = parse_document(json.dumps(document), file=file, suffix=".json")
    found = apply_overrides(found, overrides, known=settings_of(DrillSpec), what="drill")
    return validate(DrillSpec, found)


def stored_cluster(document: Mapping[str, JsonValue], file: str) -> ClusterSpec:
    """Return the cluster of a stored document, as to_document wrote it. Raises ConfigError naming file."""
    return validate(ClusterSpec, parse_document(json.dumps(document), file=file, suffix=".json"))


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets, sorted."""
    return tuple(sorted(_shipped(_PRESETS)))


def drill_names() -> tuple[str, ...]:
    """Return the names of all drills that come with Outlast, sorted."""
    return tuple(sorted(_drills()))


def drill_suites() -> dict[str, tuple[str, ...]]:
    """Return the names of the drills in each suite, both sorted."""
    suites = sorted(suite.name for suite in (_ROOT / "drills").iterdir() if suite.is_dir())
    return {suite: tuple(sorted(_shipped(f"drills/{suite}"))) for suite in suites}


def _find(source: str | FilePath, kind: str, shipped: Mapping[str, str]) -> Document:
    """Return the shipped document of that name, else the document in the file at that path."""
    if isinstance(source, str) and source in shipped:
        text = (_ROOT / shipped[source]).read_text(encoding="utf-8")
        return parse_document(text, file=f"{kind} {source}", suffix=".yaml")
    path = FilePath(source)
    if path.name == str(source) and path.suffix not in _SUFFIXES and not _is_file(path):
        names = sorted(shipped)
        close = "".join(f"did you mean {name!r}? " for name in get_close_matches(str(source), names, n=1))
        hint = f"{close}{kind}s: {', '.join(names)}"
        raise ConfigError(f"there is no {kind} and no file called {str(source)!r}", hint=hint)
    return read_document(path)


def _is_file(path: FilePath) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name longer than the file system takes
        return False


def _named(document: Document, source: str | FilePath) -> Document:
    """Name a spec that names itself nowhere after its source."""
    if document.data.get("name") is not None:
        return document
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", FilePath(source).stem)[:63].strip("-_")
    return document.with_value(("name",), stem or None, document.place(()))


def _drills() -> dict[str, str]:
    suites = (suite.name for suite in (_ROOT / "drills").iterdir() if suite.is_dir())
    return {name: path for suite in suites for name, path in _shipped(f"drills/{suite}").items()}


def _shipped(folder: str) -> dict[str, str]:
    names = (entry.name for entry in (_ROOT / folder).iterdir())
    return {name[:-5]: f"{folder}/{name}" for name in names if name.endswith(".yaml")}
