"""Env files mean what the document's profiles mean, and give no secret away."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from outlast.config import EnvSettings, load_cluster, load_env_file
from outlast.config.envfile import parse_env
from outlast.errors import ConfigError

PROFILE = """\
# the test profile
LOAD_SCHEMA=true
export LOAD_TEST_DATA = false   # no rows
APP_USER="admin"
APP_PASSWORD='s3cr$t # kept'
POSTGRES_PASSWORD=hunter2
PG_HBA_CIDR=172.28.0.0/24

PG_AUTOCTL_DEBUG=1
"""


def load(folder: Path, text: str) -> EnvSettings:
    (folder / ".env.test").write_text(text)
    return load_env_file(folder / ".env.test")


def values(text: str) -> dict[str, str]:
    return {key: value for key, (value, _) in parse_env(text, file="f").items()}


def test_a_profile_is_read_as_the_document_means_it(tmp_path):
    assert load(tmp_path, PROFILE) == EnvSettings(
        load_schema=True,
        load_test_data=False,
        app_user="admin",
        app_password="s3cr$t # kept",
        postgres_password="hunter2",
        pg_hba_cidr="172.28.0.0/24",
        autoctl={"PG_AUTOCTL_DEBUG": "1"},
    )


def test_a_profile_changes_the_cluster_but_carries_no_password_into_it(tmp_path):
    spec = load(tmp_path, PROFILE).applied_to(load_cluster("pg_auto_failover"))
    assert (spec.user, spec.dataset, spec.sample_rows) == ("admin", "healthcare", False)
    assert spec.postgresql.pg_hba == ("host all all 172.28.0.0/24 scram-sha-256",)
    assert spec.environment == {"PG_AUTOCTL_DEBUG": "1"}
    assert "hunter2" not in repr(spec) and "s3cr$t" not in repr(spec)


def test_the_schema_can_be_left_out_or_asked_for(tmp_path):
    without = load(tmp_path, "LOAD_SCHEMA=false\n").applied_to(load_cluster("pg_auto_failover"))
    asked = load(tmp_path, "LOAD_SCHEMA=true\n").applied_to(load_cluster("patroni"))
    assert (without.dataset, asked.dataset) == (None, "healthcare")


def test_an_empty_file_and_empty_values_change_nothing(tmp_path):
    spec = load_cluster("patroni")
    for text in ("", "APP_USER=\nLOAD_SCHEMA=\nPG_HBA_CIDR=\n"):
        assert load(tmp_path, text).applied_to(spec) == spec


def test_secrets_never_appear_in_a_repr(tmp_path):
    shown = repr(load(tmp_path, PROFILE))
    assert "hunter2" not in shown
    assert "s3cr$t" not in shown


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=b", "b"),
        ("  export A=b  ", "b"),
        ("A=", ""),
        ("A= # comment", ""),
        ("A=b # comment", "b"),
        ("A=b#c", "b#c"),
        ("A=#b", "#b"),
        ("A=b c", "b c"),
        ("A='b # c' # d", "b # c"),
        ('A="b \\" \\\\ \\$c"', 'b " \\ $c'),
        ("A='\\n'", "\\n"),
        ("A=b'c", "b'c"),
        ("A=x=y", "x=y"),
        ("A=b\r", "b"),
    ],
)
def test_a_value_is_read_as_a_shell_would_without_expanding_it(line, value):
    assert values(f"# first\n\n{line}\n") == {"A": value}


@pytest.mark.parametrize(
    ("text", "key", "line", "words"),
    [
        ("APP_USR=x", "APP_USR", 1, "not a setting of an env file"),
        ("\nnonsense", None, 2, "is not an assignment"),
        ("1A=x", None, 1, "is not an assignment"),
        ("APP_USER=a\nAPP_USER=b", "APP_USER", 2, "set in line 1 already"),
        ("APP_USER='a", "APP_USER", 1, "cannot be read"),
        ("APP_PASSWORD='hunter2' hunter2", "APP_PASSWORD", 1, "cannot be read"),
        ('APP_PASSWORD="hunter2\\n"', "APP_PASSWORD", 1, "control character"),
        ("APP_USER=hunter2 2", "APP_USER", 1, "must be a name"),
        ("LOAD_SCHEMA=hunter2", "LOAD_SCHEMA", 1, "true or false"),
        ("PG_HBA_CIDR=hunter2", "PG_HBA_CIDR", 1, "must be a network"),
    ],
)
def test_what_is_wrong_is_named_without_its_value(tmp_path, text, key, line, words):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    assert (caught.value.key, caught.value.line) == (key, line)
    assert words in caught.value.reason
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in str(caught.value.hint)


def test_an_unknown_key_is_answered_with_the_closest_one(tmp_path):
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, "APP_PASWORD=x")
    assert caught.value.hint == "did you mean 'APP_PASSWORD'?"


@given(
    st.text(
        st.characters(min_codepoint=32, exclude_categories=["Cs", "Zl", "Zp"], exclude_characters="'\x85\x7f")
    )
)
def test_any_line_of_text_survives_single_quotes(text):
    assert values(f"A='{text}'") == {"A": text}


@given(st.text())
def test_any_text_is_read_or_refused(text):
    try:
        parse_env(text, file="f")
    except ConfigError as error:
        assert error.line is not None
