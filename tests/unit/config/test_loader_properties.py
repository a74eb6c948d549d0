"""Whatever a file holds, the loaders return a spec or raise ConfigError.

OUTLAST_EXAMPLES sets the number of examples of each property (default 300).
"""

import copy
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

import outlast
from outlast.config import drill_names, load_any, load_cluster, load_drill, preset_names, to_document
from outlast.config.document import parse_document
from outlast.config.overrides import parse_override
from outlast.errors import ConfigError

examples = settings(
    max_examples=int(os.environ.get("OUTLAST_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

SHIPPED = sorted(Path(outlast.__file__).parent.glob("config/presets/*.yaml")) + sorted(
    Path(outlast.__file__).parent.glob("drills/*/*.yaml")
)
TEXTS = [path.read_text() for path in SHIPPED]
DOCUMENTS: list[Any] = [YAML(typ="safe", pure=True).load(text) for text in TEXTS]
KEYS = sorted(
    {key for document in DOCUMENTS for key in document} | {"balancers", "primary", "replicas", "config"}
)

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["on", "primary", "pg-node-1", "5s", "500/s", "172.28.0.11", "10.0.0.0/8", "after_failover", ""]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=8), inner)
    ),
    max_leaves=20,
)
documents = st.dictionaries(st.sampled_from(KEYS), values, max_size=8)
suffixes = st.sampled_from([".yaml", ".json", ".toml", ""])
SIGNS = [*":[]{},'\"|>#%?=.\t\n\r\\\u2028\0", " ", "  ", "- ", "&x ", "*x", "!t ", "---", "...", "<<"]
yamlish = st.lists(st.sampled_from([*SIGNS, "a", "nodes", "3", "on"]), max_size=40).map("".join)
letters = st.text(st.characters(categories=["L", "N", "P", "Z"]), max_size=8)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | letters,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(letters, inner, max_size=4),
    max_leaves=10,
)


def loads_or_refuses(path: Path) -> None:
    for load in (load_cluster, load_drill, load_any):
        try:
            load(path)
        except ConfigError as error:
            assert str(path) in str(error)
            assert len(str(error)) < 2000


@st.composite
def mutated(draw: st.DrawFn) -> Any:
    """A shipped document with one value somewhere replaced, removed or added."""
    document = copy.deepcopy(draw(st.sampled_from(DOCUMENTS)))
    here = document
    while True:
        keys = list(here) if isinstance(here, dict) else list(range(len(here)))
        if not keys:
            return document
        key = draw(st.sampled_from(keys))
        if isinstance(here[key], dict | list) and here[key] and draw(st.booleans()):
            here = here[key]
            continue
        match draw(st.sampled_from(["replace", "remove", "add"])):
            case "replace":
                here[key] = draw(values)
            case "remove":
                del here[key]
            case "add" if isinstance(here, dict):
                here[draw(st.sampled_from(KEYS))] = draw(values)
            case "add":
                here.append(draw(values))
        return document


@examples
@given(st.binary(max_size=200), suffixes)
def test_any_bytes_are_read_or_refused(tmp_path, content, suffix):
    path = tmp_path / f"any{suffix}"
    path.write_bytes(content)
    loads_or_refuses(path)


@examples
@given(yamlish | st.text(max_size=100), suffixes)
def test_any_text_is_read_or_refused(tmp_path, text, suffix):
    path = tmp_path / f"any{suffix}"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    loads_or_refuses(path)


@examples
@given(documents)
def test_any_structure_is_read_or_refused(tmp_path, document):
    path = tmp_path / "any.json"
    path.write_text(json.dumps(document))
    loads_or_refuses(path)


@examples
@given(mutated())
def test_any_mutation_of_a_shipped_document_is_read_or_refused(tmp_path, document):
    path = tmp_path / "mutated.json"
    path.write_text(json.dumps(document))
    loads_or_refuses(path)


@examples
@given(st.sampled_from(TEXTS), st.data())
def test_any_cut_or_splice_of_a_shipped_text_is_read_or_refused(tmp_path, text, data):
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    path = tmp_path / "spliced.yaml"
    path.write_text(text[:start] + data.draw(yamlish) + text[end:])
    loads_or_refuses(path)


@examples
@given(st.sampled_from(preset_names() + drill_names()), st.text(max_size=30) | yamlish, values)
def test_any_override_is_applied_or_refused(name, text, value):
    load = load_cluster if name in preset_names() else load_drill
    for override in (
        text,
        f"{text}=1",
        f"nodes={text}",
        f"sync={json.dumps(value)}",
        f"timeline.0.{text}={text}",
    ):
        try:
            parse_override(override)
            load(name, [override])
        except ConfigError as error:
            assert error.file is not None and (error.file.startswith("--set ") or name in error.file)


@examples
@given(mutated())
def test_what_loads_survives_being_stored(tmp_path, document):
    path = tmp_path / "mutated.json"
    path.write_text(json.dumps(document))
    for load in (load_cluster, load_drill):
        try:
            spec = load(path)
        except ConfigError:
            continue
        path.write_text(json.dumps(to_document(spec)))
        assert load(path) == spec


@examples
@given(json_values)
def test_json_reads_what_was_written(value):
    text = json.dumps({"value": value}, indent=1)
    assert parse_document(text, file="f", suffix=".json").data == {"value": value}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_document_names_a_line_for_each_of_its_keys(path):
    document = parse_document(path.read_text(), file=path.name)
    assert all(document.place((key,)).line for key in document.data)
