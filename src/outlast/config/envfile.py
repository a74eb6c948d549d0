"""Env files: the profiles ``.env.test`` and ``.env.prod`` of the pg_auto_failover lab.

    LOAD_SCHEMA, LOAD_TEST_DATA     make the healthcare schema; fill it with sample rows
    APP_USER, APP_PASSWORD          the application's role; without a password one is generated per lab
    POSTGRES_PASSWORD               the superuser's; generated per lab when missing
    PG_HBA_CIDR                     who may connect: a pg_hba line on every node
    PG_AUTOCTL_*                    handed to the processes of pg_autoctl

The syntax is that of a shell's assignments without the shell: nothing is expanded, so that a password may
hold a ``$``. Passwords never reach a ClusterSpec, a repr or an error.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from ipaddress import ip_network
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from outlast.config.cluster import ClusterSpec
from outlast.config.document import did_you_mean, read_text
from outlast.config.fields import RoleName
from outlast.errors import ConfigError

_KEYS = ("LOAD_SCHEMA", "LOAD_TEST_DATA", "APP_USER", "APP_PASSWORD", "POSTGRES_PASSWORD", "PG_HBA_CIDR")
_AUTOCTL = re.compile(r"PG_AUTOCTL_[A-Z0-9_]+")
_SWITCH = {
    "true": True,
    "on": True,
    "yes": True,
    "1": True,
    "false": False,
    "off": False,
    "no": False,
    "0": False,
}

_ASSIGNMENT = re.compile(r"\s*(?:export\s+)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)\s*=(?P<value>.*)", re.DOTALL)
_VALUE = re.compile(
    r"""\s*(?:'(?P<single>[^']*)'           # as it stands
        |"(?P<double>(?:[^"\\]|\\.)*)"      # with escapes
        |(?P<bare>(?!(?<=\s)\#)[^\s'"](?:.*?\S)??)?  # up to a blank before a comment, or the end
        )\s*(?:(?<=\s)\#.*)?""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}


@dataclass(frozen=True, slots=True)
class EnvSettings:
    """What an env file sets, None where it says nothing. Nothing secret is in its repr."""

    load_schema: bool | None = None
    load_test_data: bool | None = None
    app_user: str | None = None
    app_password: str | None = field(default=None, repr=False)
    postgres_password: str | None = field(default=None, repr=False)
    pg_hba_cidr: str | None = None
    autoctl: Mapping[str, str] = field(default_factory=dict, repr=False)

    def applied_to(self, spec: ClusterSpec) -> ClusterSpec:
        """Return the cluster with these settings, passwords aside: those go to the lab's credentials."""
        if self.app_user is not None:
            spec = replace(spec, user=self.app_user)
        if self.load_schema is not None:
            spec = replace(spec, dataset=(spec.dataset or "healthcare") if self.load_schema else None)
        if self.load_test_data is not None:
            spec = replace(spec, sample_rows=self.load_test_data)
        if self.pg_hba_cidr is not None:
            line = f"host all all {self.pg_hba_cidr} scram-sha-256"
            postgresql = replace(spec.postgresql, pg_hba=(*spec.postgresql.pg_hba, line))
            spec = replace(spec, postgresql=postgresql)
        return replace(spec, environment={**spec.environment, **self.autoctl})

    def passwords(self, user: str, superuser: str) -> dict[str, str]:
        """Return the passwords that the file sets, by user. user: the application's."""
        chosen = {user: self.app_password, superuser: self.postgres_password}
        return {name: password for name, password in chosen.items() if password is not None}


def load_env_file(path: str | Path) -> EnvSettings:
    """Return the settings in an env file. Raises ConfigError naming file, key and line, never a value."""
    values = parse_env(read_text(Path(path)), file=str(path))
    for key, (_, line) in values.items():
        if key not in _KEYS and not _AUTOCTL.fullmatch(key):
            hint = did_you_mean(key, (*_KEYS, "PG_AUTOCTL_…"))
            raise ConfigError(
                "is not a setting of an env file", file=str(path), key=key, line=line, hint=hint
            )
    return EnvSettings(
        load_schema=_switch(values, "LOAD_SCHEMA", str(path)),
        load_test_data=_switch(values, "LOAD_TEST_DATA", str(path)),
        app_user=_name(values, "APP_USER", str(path)),
        app_password=_text(values, "APP_PASSWORD"),
        postgres_password=_text(values, "POSTGRES_PASSWORD"),
        pg_hba_cidr=_network(values, "PG_HBA_CIDR", str(path)),
        autoctl={key: value for key, (value, _) in values.items() if _AUTOCTL.fullmatch(key)},
    )


_Values = dict[str, tuple[str, int]]


def parse_env(text: str, *, file: str) -> _Values:
    """Return each key with its value and 1-based line. Raises ConfigError for what is not an assignment."""
    values: _Values = {}
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.removesuffix("\r")
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        assignment = _ASSIGNMENT.fullmatch(line)
        if assignment is None:
            hint = "write KEY=value, one a line"
            raise ConfigError("is not an assignment", file=file, line=number, hint=hint)
        key = assignment["key"]
        if key in values:
            raise ConfigError(f"was set in line {values[key][1]} already", file=file, key=key, line=number)
        values[key] = (_value(assignment["value"], file, key, number), number)
    return values


def _value(text: str, file: str, key: str, line: int) -> str:
    found = _VALUE.fullmatch(text)
    if found is None:
        hint = "a quote closes on its line, and only a comment follows it"
        raise ConfigError("has a value that cannot be read", file=file, key=key, line=line, hint=hint)
    value = found["single"]
    if found["double"] is not None:
        value = _ESCAPE.sub(lambda escape: _ESCAPED.get(escape[1], escape[1]), found["double"])
    value = value if value is not None else found["bare"] or ""
    if any(ord(character) < 32 for character in value):
        raise ConfigError("holds a control character", file=file, key=key, line=line)
    return value


def _text(values: _Values, key: str) -> str | None:
    return values[key][0] or None if key in values else None


def _name(values: _Values, key: str, file: str) -> str | None:
    value = _text(values, key)
    try:
        return value and TypeAdapter(RoleName).validate_python(value)
    except ValidationError:
        hint = "up to 63 letters, digits, - and _; no role of the cluster's own"
        raise ConfigError("must be a name", file=file, key=key, line=values[key][1], hint=hint) from None


def _switch(values: _Values, key: str, file: str) -> bool | None:
    value = _text(values, key)
    if value is None:
        return None
    if value.lower() not in _SWITCH:
        raise ConfigError("must be true or false", file=file, key=key, line=values[key][1])
    return _SWITCH[value.lower()]


def _network(values: _Values, key: str, file: str) -> str | None:
    value = _text(values, key)
    if value is None:
        return None
    try:
        return str(ip_network(value))
    except ValueError:
        hint = "for example 172.28.0.0/24"
        raise ConfigError("must be a network", file=file, key=key, line=values[key][1], hint=hint) from None
