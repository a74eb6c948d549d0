"""What a fault is.

A fault is one mechanism. ``inject`` makes it happen and returns an Injection, plain data, so that another process
can heal it; ``effective`` looks at the world, never at what inject returned, and says whether it bit.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol

from holdfast.errors import ConfigError
from holdfast.history.history import JSON
from holdfast.systems.base import Cluster


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a fault. unit: ``s``, ``ms``, ``%``, ``bytes``, or "" for a word or a number."""

    name: str
    default: JSON
    unit: str
    about: str


@dataclass(frozen=True, slots=True)
class Injection:
    """One occurrence of a fault. details: what healing and proof need to know."""

    fault: str
    targets: tuple[str, ...]
    params: Mapping[str, JSON] = field(default_factory=dict)
    details: Mapping[str, JSON] = field(default_factory=dict)

    def to_document(self) -> dict[str, JSON]:
        """Return it as a JSON document."""
        document: dict[str, JSON] = asdict(self)
        return document


@dataclass(frozen=True, slots=True)
class Effect:
    """Whether a fault bit, and what showed it. bit: None when it can't be told."""

    bit: bool | None
    words: str


class Fault(Protocol):
    """One mechanism."""

    @property
    def name(self) -> str:
        """Its name says the mechanism: ``process_kill``."""
        ...

    @property
    def about(self) -> str:
        """One sentence."""
        ...

    @property
    def params(self) -> tuple[Param, ...]:
        """Its parameters with units and defaults."""
        ...

    def available(self, cluster: Cluster) -> str | None:
        """Return why it can't be injected here, None when it can."""
        ...

    async def inject(
        self, cluster: Cluster, targets: tuple[str, ...], params: Mapping[str, JSON], rng: random.Random
    ) -> Injection:
        """Make it happen to the targets. Raises HostError when that fails."""
        ...

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Look whether it bit."""
        ...

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Undo it; safe to call again, and from another process. Raises HostError when that fails."""
        ...


def with_defaults(fault: Fault, given: Mapping[str, JSON]) -> dict[str, JSON]:
    """Return the fault's parameters, the given ones over the defaults. Raises ConfigError for an unknown one."""
    known = {param.name: param.default for param in fault.params}
    for name in given:
        if name not in known:
            raise ConfigError(
                f"the fault {fault.name} has no parameter {name}",
                hint=f"it has: {', '.join(known) or 'none'}",
            )
    return {**known, **given}
