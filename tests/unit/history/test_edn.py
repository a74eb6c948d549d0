"""EDN values become Python's, and errors name the line."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.errors import OutlastError
from outlast.history.formats.edn import Keyword, read_forms


def one(text: str) -> object:
    ((form, _),) = read_forms(f"{{:v {text}}}")
    return form[":v"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nil", None),
        ("true", True),
        ("-12", -12),
        ("12N", 12),
        ("1.5e3", 1500.0),
        ("1/4", 0.25),
        (":a/b", Keyword(":a/b")),
        ("sym", Keyword("'sym")),
        (r'"a\n\"b\"\u0041"', 'a\n"b"A'),
        (r"\newline", "\n"),
        (r"\x", "x"),
        ("[1, (2 3)]", [1, [2, 3]]),
        ("#{1 2}", frozenset({1, 2})),
        ("{[1 2] 3}", {(1, 2): 3}),
        ('#inst "2020"', "2020"),
        ("#jepsen.history.Op{:a 1}", {":a": 1}),
        ("[1 #_ [2 3] 4]", [1, 4]),
        ("^{:line 3} [1]", [1]),
        ("##Inf", math.inf),
    ],
)
def test_value(text: str, value: object) -> None:
    assert one(text) == value


def test_white_space_and_comments_may_end_a_file() -> None:
    for end in ("\n", " ,\n ", "; a comment {", "\n; one\n;; two"):
        assert [form for form, _ in read_forms("{:a 1}" + end)] == [{":a": 1}]
    assert read_forms("; nothing") == []


def test_comments_and_wrapping_do_not_matter() -> None:
    bare = "{:a 1} ; one\n{:a 2}"
    assert [form for form, _ in read_forms(bare)] == [{":a": 1}, {":a": 2}]
    for wrapped in (f"; first\n[{bare}\n]", f"({bare})", f"#_ [1 2] [{bare}\n]"):
        assert [form for form, _ in read_forms(wrapped)] == [{":a": 1}, {":a": 2}]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[{:a 1}\n {:b", 2),
        ("{:a 1}\n}", 2),
        ("{:a 1}\n\n(1 2]", 3),
        ('\n{:a "never ends', 2),
        ("{:a}", 1),
        ("[1 #_]", 1),
    ],
)
def test_error_names_the_line(text: str, line: int) -> None:
    with pytest.raises(OutlastError, match=rf"h\.edn:{line}: "):
        read_forms(text, "h.edn")


@given(st.text(alphabet='{}[]()#_:"\\;^ \n01a-', max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(OutlastError):
        read_forms(text)
