"""Reading a document: three formats, one meaning, limits, and the line of everything."""

from pathlib import Path

import pytest

from outlast.config.document import BYTES_MAX, Place, did_you_mean, parse_document, read_document
from outlast.errors import ConfigError

YAML = "nodes: 3\nports:\n  a: 1\nitems:\n  - x: on\n  - y: null\n"
JSON = '{\n "nodes": 3,\n "ports": {\n  "a": 1},\n "items": [\n  {"x": "on"},\n  {"y": null}]}'
TOML = 'nodes = 3\n[ports]\na = 1\n[[items]]\nx = "on"\n[[items]]\n'


def refusal(text: str, suffix: str) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        parse_document(text, file="f", suffix=suffix)
    return caught.value


@pytest.mark.parametrize(("text", "suffix"), [(YAML, ".yaml"), (JSON, ".json")])
def test_yaml_and_json_of_one_meaning_read_the_same(text, suffix):
    document = parse_document(text, file="f", suffix=suffix)
    assert document.data == {"nodes": 3, "ports": {"a": 1}, "items": [{"x": "on"}, {"y": None}]}


@pytest.mark.parametrize(
    ("text", "suffix", "lines"),
    [(YAML, ".yaml", (1, 2, 3, 4, 5)), (JSON, ".json", (2, 3, 4, 5, 6)), (TOML, ".toml", (1, 2, 3, 4, 5))],
)
def test_every_format_knows_the_line_of_each_key(text, suffix, lines):
    document = parse_document(text, file="f", suffix=suffix)
    paths = [("nodes",), ("ports",), ("ports", "a"), ("items", 0), ("items", 0, "x")]
    if suffix != ".toml":
        paths[3] = ("items",)
    assert tuple(document.place(path).line for path in paths) == lines


@pytest.mark.parametrize("text", [YAML, JSON, TOML])
def test_a_file_without_a_telling_suffix_is_sniffed(tmp_path: Path, text):
    (tmp_path / "cluster.conf").write_text("\n" + text)
    assert read_document(tmp_path / "cluster.conf").data["nodes"] == 3


def test_a_value_without_a_place_of_its_own_lies_at_its_parents():
    document = parse_document("a:\n  b: 1\n", file="f")
    assert document.place(("a", "b", "c", 4)) == Place("f", 2)
    assert document.place(("zzz",)) == Place("f")


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("true", True),
        ("NULL", None),
        ("~", None),
        ("0o17", 15),
        ("0x1F", 31),
        ("012", 12),
        ("1_000", "1_000"),
        ("1:30", "1:30"),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("5.", 5.0),
        ("'5'", "5"),
        ("2024-01-01", "2024-01-01"),
        ("500/s", "500/s"),
        ("<<", "<<"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written, value):
    assert parse_document(f"a: {written}\n", file="f").data == {"a": value}


def test_a_yaml_1_1_directive_does_not_bring_back_its_booleans():
    assert parse_document("%YAML 1.1\n---\na: on\n", file="f").data == {"a": "on"}


def test_an_alias_stands_for_what_its_anchor_named():
    assert parse_document("a: &x [1]\nb: *x\n", file="f").data == {"a": [1], "b": [1]}


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert read_document(tmp_path / "a.json").data == {"a": 1}


def test_toml_dates_become_text():
    assert parse_document("a = 2024-01-01", file="f", suffix=".toml").data == {"a": "2024-01-01"}


BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{', '.join(['*' + before] * 10)}]\n"
    for before, name in zip("abcdefg", "bcdefgh", strict=True)
)


@pytest.mark.parametrize(
    ("text", "suffix", "line", "words"),
    [
        ("", ".yaml", None, "is empty"),
        ("# nothing\n", "", None, "is empty"),
        (" ", ".json", None, "is empty"),
        ("", ".toml", None, "is empty"),
        ("[1, 2]", ".yaml", 1, "must be a mapping of settings, got a list"),
        ("just words", ".yaml", 1, "got the text"),
        ("3", ".json", 1, "got the number 3"),
        ("a: 1\nb: 2\na: 3\n", ".yaml", 3, "'a' appears twice here"),
        ('{"a": 1,\n"a": 2}', ".json", 2, "'a' appears twice here"),
        ("a = 1\na = 2\n", ".toml", 2, "is not TOML"),
        ("a: 1\n---\nb: 2\n", ".yaml", 2, "more than one document"),
        ("a: [\n", ".yaml", 2, "expected the node content"),
        ("a: 1\nb: !!python/object:os.system x\n", ".yaml", 2, "tags are not used"),
        ("!!set {a: b}\n", ".yaml", 1, "tags are not used"),
        ("? [a]\n: b\n", ".yaml", 1, "a key is plain text"),
        ("a: &a [*a]\n", ".yaml", 1, "names no value above it"),
        (BOMB, ".yaml", None, "more than 20000 values"),
        ("a: " + "[" * 5000, ".yaml", 1, "nested deeper than 32"),
        ("[" * 5000, ".json", 1, "nested deeper than 32"),
        ("a=" + "[" * 5000, ".toml", None, "nested too deep"),
        ("a=" + "[" * 40 + "]" * 40, ".toml", 1, "nested deeper than 32"),
        ("a=1\n" + "a." * 5000 + "a=1", ".toml", 2, "dotted key of more than 32 parts"),
        ("a: " + "9" * 5000, ".yaml", 1, "64 bits"),
        ("a: 18446744073709551616", ".yaml", 1, "64 bits"),
        ('{"a": ' + "9" * 5000 + "}", ".json", 1, "64 bits"),
        ("b = 1\na = -" + "9" * 5000, ".toml", 2, "64 bits"),
        ("a: .inf", ".yaml", 1, "no finite number"),
        ("a = nan", ".toml", 1, "no finite number"),
        ('{"a": NaN}', ".json", 1, "is no JSON"),
        ('{"a": 1e999}', ".json", 1, "no finite number"),
        ('{"a": "\\ud800"}', ".json", 1, "no text"),
        ('{"a": "\\u0000"}', ".json", 1, "no text"),
        ('{"a": 1,}', ".json", 1, "double quotes"),
        ('{"a" 1}', ".json", 1, "':' is missing"),
        ('{"a": [1 2]}', ".json", 1, "',' is missing"),
        ('{"a": 1} x', ".json", 1, "text after its end"),
        ('{"a": tru}', ".json", 1, "is no JSON"),
        ("a = \n", ".toml", 1, "is not TOML"),
        ("[[a", ".toml", 1, "is not TOML"),
    ],
)
def test_text_that_is_no_document_is_one_clear_error(text, suffix, line, words):
    error = refusal(text, suffix)
    assert error.file == "f"
    assert error.line == line
    assert words in error.reason


def test_files_that_are_no_documents_are_one_clear_error(tmp_path):
    (tmp_path / "binary.yaml").write_bytes(b"a: 1\n\xff\xfe\x00")
    (tmp_path / "large.yaml").write_bytes(b"#" * (BYTES_MAX + 1))
    expected = {
        tmp_path / "binary.yaml": "is not UTF-8 text",
        tmp_path / "large.yaml": "is larger than 256 KiB",
        tmp_path: "is a directory",
        tmp_path / "none.yaml": "cannot be read: No such file or directory",
        tmp_path / ("a" * 300): "cannot be read: File name too long",
        Path("/dev/zero"): "is not a regular file",
        Path("a\0b"): "cannot be read: ",
    }
    for path, words in expected.items():
        with pytest.raises(ConfigError) as caught:
            read_document(path)
        assert words in caught.value.reason


def test_the_line_of_a_bad_byte_is_named(tmp_path):
    (tmp_path / "latin.yaml").write_bytes("a: 1\nb: é\n".encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        read_document(tmp_path / "latin.yaml")
    assert caught.value.line == 2


def test_a_value_can_be_put_where_none_was():
    document = parse_document("a: {b: [1, 2]}\n", file="f")
    place = Place("--set")
    changed = document.with_value(("a", "b", "1"), 5, place).with_value(("c", "d"), None, place)
    assert changed.data == {"a": {"b": [1, 5]}, "c": {"d": None}}
    assert document.data == {"a": {"b": [1, 2]}}
    assert changed.place(("c", "d")) == place


def test_hints_name_the_closest_word_else_all_of_them():
    assert did_you_mean("nods", ("nodes", "sync")) == "did you mean 'nodes'?"
    assert did_you_mean("q", ("nodes", "sync")) == "known: nodes, sync"
