"""The kinds of value that settings have, each with a validator that speaks to a person.

A validator takes what was written and returns the value, or raises ValueError that says what is accepted.
Nothing is converted silently: ``"5"`` is no number, ``1`` is no switch.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Callable
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, PlainValidator
from pydantic_core import PydanticCustomError

from outlast.config.document import kind_of
from outlast.units import parse_duration_s, parse_rate_per_s

STRICT = ConfigDict(extra="forbid", validate_default=True, populate_by_name=True, defer_build=True)
"""How every model here validates: no unknown key; defaults are held to the same rules as what is written. Its schema
is made when something is first validated: most commands read nothing that a person wrote."""

DURATION_S_MAX = 366 * 86400.0
RATE_PER_S_MAX = 1e6

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9])?")
_ROLES = ("postgres", "replicator", "public", "none")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_PARAMETER = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,127}")
_SWITCH = {"on": True, "off": False, "yes": True, "no": False}


def problem(message: str, *path: str | int, hint: str | None = None) -> PydanticCustomError:
    """Return the error of a validator that knows better than pydantic where the fault lies.

    path: keys from the value that is being validated down to the fault.
    """
    return PydanticCustomError("config", "{message}", {"message": message, "path": list(path), "hint": hint})


def _name(value: object) -> str:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise ValueError(f"a name is up to 63 letters, digits, - and _, got {kind_of(value)}")
    return value


def _database(value: object) -> str:
    name = _name(value)
    if name in ("template0", "template1"):
        raise ValueError(f"{name} belongs to PostgreSQL itself; choose another name")
    return name


def _role(value: object) -> str:
    name = _name(value)
    if name in _ROLES or name.startswith("pg_"):
        raise ValueError(f"{name} is a role of the cluster itself; choose another name")
    return name


def _identifier(value: object) -> str:
    if not isinstance(value, str) or not _IDENTIFIER.fullmatch(value):
        raise ValueError(f"must be lower-case letters, digits, - and _, got {kind_of(value)}")
    return value


def _line_of_text(value: object) -> str:
    if not isinstance(value, str) or any(ord(character) < 32 for character in value):
        raise ValueError(f"must be one line of text, got {kind_of(value)}")
    return value


def _prose(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"must be text, got {kind_of(value)}")
    return value


def _switch(value: object) -> bool:
    if isinstance(value, str) and value.lower() in _SWITCH:
        return _SWITCH[value.lower()]
    if not isinstance(value, bool):
        raise ValueError(f"must be on or off, got {kind_of(value)}")
    return value


def _duration_s(value: object) -> float:
    if not isinstance(value, str | int | float):
        raise ValueError(f"a duration is 5s, 150ms, 2m or a number of seconds, got {kind_of(value)}")
    seconds = parse_duration_s(value)
    if seconds > DURATION_S_MAX:
        raise ValueError("a duration is at most 366 days")
    return seconds


def _rate_per_s(value: object) -> float:
    if not isinstance(value, str | int | float):
        raise ValueError(f"a rate is 500/s, 600/m or a number per second, got {kind_of(value)}")
    rate = parse_rate_per_s(value)
    if rate > RATE_PER_S_MAX:
        raise ValueError("a rate is at most a million per second")
    return rate


def _assigned_address(value: object) -> str:
    return "" if value == "" else _address(value)


def _address(value: object) -> str:
    try:
        return str(ipaddress.IPv4Address(_line_of_text(value)))
    except ValueError:
        raise ValueError(f"must be an IPv4 address like 172.28.0.11, got {kind_of(value)}") from None


def _subnet(value: object) -> str:
    try:
        network = ipaddress.IPv4Network(_line_of_text(value))
    except ValueError:
        raise ValueError(f"must be an IPv4 network like 172.28.0.0/24, got {kind_of(value)}") from None
    if not 8 <= network.prefixlen <= 29:
        raise ValueError(f"must have a prefix from /8 to /29, got {network}")
    return str(network)


def _parameter_name(value: object) -> str:
    if not isinstance(value, str) or not _PARAMETER.fullmatch(value):
        raise ValueError(f"a parameter's name is letters, digits, _ and dots, got {kind_of(value)}")
    return value


def _parameter(value: object) -> str | int | float | bool:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    if isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _line_of_text(value)
    raise ValueError(f"must be text, a number, on or off, got {kind_of(value)}")


def whole(least: int, most: int) -> Callable[[object], int]:
    """Return a validator of whole numbers from least to most."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError(f"must be a whole number from {least} to {most}, got {kind_of(value)}")
        return value

    return check


Name = Annotated[str, PlainValidator(_name)]
DatabaseName = Annotated[str, PlainValidator(_database)]
RoleName = Annotated[str, PlainValidator(_role)]
Identifier = Annotated[str, PlainValidator(_identifier)]
Line = Annotated[str, PlainValidator(_line_of_text)]
Prose = Annotated[str, PlainValidator(_prose)]
Switch = Annotated[bool, PlainValidator(_switch)]
DurationS = Annotated[float, PlainValidator(_duration_s)]
RatePerS = Annotated[float, PlainValidator(_rate_per_s)]
HostAddress = Annotated[str, PlainValidator(_address)]
Address = Annotated[str, PlainValidator(_assigned_address)]
"""An IPv4 address, or nothing: then one is assigned."""
Subnet = Annotated[str, PlainValidator(_subnet)]
Size = Annotated[int, PlainValidator(whole(1, 10_000))]
NodeId = Annotated[int, PlainValidator(whole(1, 127))]
Port = Annotated[int, PlainValidator(whole(1, 65535))]
ParameterName = Annotated[str, PlainValidator(_parameter_name)]
Parameter = Annotated[str | int | float | bool, PlainValidator(_parameter)]


def _off_and_on(value: object) -> object:
    return {True: "on", False: "off"}.get(value, value) if isinstance(value, bool) else value


OffAndOn = BeforeValidator(_off_and_on)
"""For settings whose choices include off and on: YAML's true and false mean them."""
