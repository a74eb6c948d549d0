"""The way in: a preset, a file and --set, made into a ClusterSpec or a DrillSpec."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path as FilePath

from holdfast.errors import ConfigError
from holdfast.spec.cluster import ClusterSpec
from holdfast.spec.document import Document, Place, did_you_mean, parse_document, read_document
from holdfast.spec.drill import ClusterWish, DrillSpec
from holdfast.spec.overrides import apply_overrides
from holdfast.spec.validate import settings_of, validate

_ROOT = files("holdfast")
_SUFFIXES = (".yaml", ".yml", ".json", ".toml")


def load_cluster(
    source: str | FilePath, overrides: Sequence[str] = (), *, wish: ClusterWish | None = None
) -> ClusterSpec:
    """Return the cluster that a preset or a file describes.

    source: a preset's name or a path. overrides: ``key=value`` texts, the last one winning. wish: what a
    drill asks of its cluster; it outranks the source, and overrides outrank it. Raises ConfigError.
    """
    document = _find(source, "preset", _preset_texts())
    if wish is not None:
        for key, value in wish.settings.items():
            document = document.with_value((key,), value, Place("the drill's cluster"))
    document = apply_overrides(document, overrides, known=settings_of(ClusterSpec), what="cluster")
    return validate(ClusterSpec, _named(document, source))


def load_drill(source: str | FilePath, overrides: Sequence[str] = ()) -> DrillSpec:
    """Return the drill of a name, in whichever suite it is, or the one in a file. Raises ConfigError."""
    document = _find(source, "drill", _drill_texts())
    document = apply_overrides(document, overrides, known=settings_of(DrillSpec), what="drill")
    return validate(DrillSpec, _named(document, source))


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets, sorted."""
    return tuple(sorted(_preset_texts()))


def drill_names() -> tuple[str, ...]:
    """Return the names of all drills that come with Holdfast, sorted."""
    return tuple(sorted(_drill_texts()))


def drill_suites() -> dict[str, tuple[str, ...]]:
    """Return the names of the drills in each suite, both sorted."""
    suites = sorted(suite.name for suite in (_ROOT / "drills").iterdir() if suite.is_dir())
    return {suite: tuple(sorted(_yaml_files(f"drills/{suite}"))) for suite in suites}


def _find(source: str | FilePath, kind: str, shipped: Mapping[str, str]) -> Document:
    """Return the shipped document of that name, else the document in the file at that path."""
    if isinstance(source, str) and source in shipped:
        text = (_ROOT / shipped[source]).read_text(encoding="utf-8")
        return parse_document(text, file=f"{kind} {source}", suffix=".yaml")
    path = FilePath(source)
    is_bare_name = path.name == str(source) and path.suffix not in _SUFFIXES
    if is_bare_name and not path.is_file():
        raise ConfigError(
            f"there is no {kind} and no file called {str(source)!r}",
            hint=did_you_mean(str(source), tuple(sorted(shipped))),
        )
    return read_document(path)


def _named(document: Document, source: str | FilePath) -> Document:
    """Name a spec that names itself nowhere after its source."""
    if document.data.get("name") is not None:
        return document
    stem = re.sub(r"[^A-Za-z0-9_-]+", "-", FilePath(source).stem)[:63].strip("-_")
    return document.with_value(("name",), stem or None, document.place(()))


def _preset_texts() -> dict[str, str]:
    return _yaml_files("spec/presets")


def _drill_texts() -> dict[str, str]:
    suites = (suite.name for suite in (_ROOT / "drills").iterdir() if suite.is_dir())
    return {name: path for suite in suites for name, path in _yaml_files(f"drills/{suite}").items()}


def _yaml_files(folder: str) -> dict[str, str]:
    names = (entry.name for entry in (_ROOT / folder).iterdir())
    return {name[:-5]: f"{folder}/{name}" for name in names if name.endswith(".yaml")}
