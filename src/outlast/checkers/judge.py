"""The front door: which checkers a model means, and their findings on a history, ours or anyone's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from outlast.checkers.bank import Bank
from outlast.checkers.base import Checker, Finding, Verdict, run_checker
from outlast.checkers.counter import CounterBounds
from outlast.checkers.etcd_model import ETCD
from outlast.checkers.kafka import FUNCTIONS as KAFKA_FUNCTIONS
from outlast.checkers.kafka import KafkaQueue
from outlast.checkers.linearizable.check import Linearizable
from outlast.checkers.linearizable.models import MODELS as LINEARIZABLE_MODELS
from outlast.checkers.log import Log
from outlast.checkers.long_fork import LongFork
from outlast.checkers.sessions import SessionGuarantees
from outlast.checkers.set_full import SetFull
from outlast.checkers.total_queue import TotalQueue
from outlast.checkers.transactions.check import ListAppend, RwRegister
from outlast.checkers.transactions.consistency import LEVELS
from outlast.checkers.unique_ids import UniqueIds
from outlast.checkers.visible_in_order import Comments, Sequential
from outlast.checkers.writes import nothing_acknowledged
from outlast.clock import deadline_ns, seconds_until
from outlast.errors import ConfigError, HistoryError
from outlast.history.history import JSON, History
from outlast.history.op import Outcome
from outlast.history.values import freeze

STRICT: Final = "strict-serializable"
DEFAULT_TIMEOUT_S: Final = 600.0
"""How long all checkers of a history may take together, when nothing else is said."""
CONSISTENCIES: Final = tuple(reversed(LEVELS))
"""What ``--consistency`` takes, strongest first."""


def _queue(history: History, strict: bool) -> tuple[Checker, ...]:
    if KAFKA_FUNCTIONS & set(history.ops.f_names):  # Jepsen calls that a queue too
        return (KafkaQueue(),)
    fifo = strict and "drain" not in history.ops.f_names  # draining is no single op of a queue
    balance = TotalQueue(linearizable=strict)
    return (balance, Linearizable("queue")) if fifo else (balance,)


_CHECKERS: Final[dict[str, Callable[[History, bool], tuple[Checker, ...]]]] = {
    "queue": _queue,
    "counter": lambda _, strict: (CounterBounds(), Linearizable("counter")) if strict else (CounterBounds(),),
    "set": lambda _, strict: (
        (SetFull(linearizable=True), Linearizable("set")) if strict else (SetFull(linearizable=False),)
    ),
    "bank": lambda _, __: (Bank(),),
    "log": lambda _, strict: (Log(linearizable=strict),),
    "long-fork": lambda _, __: (LongFork(),),
    "sessions": lambda _, __: (SessionGuarantees(),),
    "unique-ids": lambda _, __: (UniqueIds(),),
    "kafka": lambda _, __: (KafkaQueue(),),
    "comments": lambda _, __: (Comments(),),
    "sequential": lambda _, __: (Sequential(),),
    "etcd": lambda _, __: (Linearizable(spec=ETCD),),
}
MODELS: Final = tuple(
    dict.fromkeys(
        [
            *LINEARIZABLE_MODELS,
            "bank",
            "log",
            "list-append",
            "rw-register",
            "long-fork",
            "sessions",
            "unique-ids",
            "etcd",
            "kafka",
            "comments",
            "sequential",
        ]
    )
)
"""What ``--model`` takes."""
INITIALS: Final = ("register", "cas-register", "kv", "counter", "semaphore", "rw-register")
"""The models that take an initial value."""


def checkers_for(
    history: History, model: str, consistency: str = STRICT, initial: JSON = None
) -> tuple[Checker, ...]:
    """Return the checkers that a model means, the cheapest first.

    initial: what registers and counters hold before the history begins, as in ``judge``.

    The models of one object (register, …, mutex) are judged by linearizability whatever the consistency,
    which is about transactions; for queue, counter and set a weaker one asks only for their invariants.
    Raises ConfigError for a name that is none of MODELS and CONSISTENCIES, and for an initial value that the
    model does not have.
    """
    if model not in MODELS:
        raise ConfigError(f"there is no model {model}", key="model", hint=f"models: {', '.join(MODELS)}")
    if consistency.lower() not in LEVELS:
        raise ConfigError(
            f"there is no consistency {consistency}",
            key="consistency",
            hint=f"levels: {', '.join(CONSISTENCIES)}",
        )
    consistency = consistency.lower()  # PRAM is written in capitals elsewhere
    if initial is not None and model not in INITIALS:
        raise ConfigError(
            f"a {model} has no initial value", key="initial", hint=f"models that have: {', '.join(INITIALS)}"
        )
    if model == "semaphore" and initial is not None and type(initial) is not int:
        raise ConfigError(
            f"a semaphore begins with a number of permits, not {initial!r}",
            key="initial",
            hint="for example --initial 2",
        )
    if model == "list-append":
        return (ListAppend(consistency),)
    if model == "rw-register":
        return (RwRegister(consistency, freeze(initial)),)
    if model == "counter" and type(initial) is int:
        bounds = CounterBounds(initial)
        return (bounds, Linearizable(model, initial=initial)) if consistency == STRICT else (bounds,)
    if initial is not None:
        return (Linearizable(model, initial=freeze(initial)),)
    if model in _CHECKERS:
        return _CHECKERS[model](history, consistency == STRICT)
    return (Linearizable(model),)


def judge(
    history: History,
    model: str,
    consistency: str = STRICT,
    deadline: int | None = None,
    *,
    initial: JSON = None,
) -> tuple[Finding, ...]:
    """Return the findings of a model's checkers on a history, those of the cheapest first.

    model: one of MODELS. consistency: one of CONSISTENCIES. deadline: monotonic ns, for all of them
    together; None gives them DEFAULT_TIMEOUT_S. Each checker has an equal share of what is left, so that none
    uses up the time of another. initial: what registers and counters hold before the history begins, None for
    nil, "" or 0. A checker that crashes or runs out of time or memory gives ``unknown``. A history in which
    nothing was acknowledged passes nothing: it is ``invalid``. Raises ConfigError for an unknown name,
    HistoryError for values that the model cannot take.
    """
    deadline = deadline_ns(DEFAULT_TIMEOUT_S) if deadline is None else deadline
    checkers = checkers_for(history, model, consistency, initial)
    findings = []
    for place, checker in enumerate(checkers):
        share_s = seconds_until(deadline) / (len(checkers) - place)
        findings.append(run_checker(checker, history, share_s, passing=(HistoryError,)))
    if len(history.ops) and not history.ops.outcome_is(Outcome.OK).any():
        findings = [
            nothing_acknowledged(each.name) if each.verdict is Verdict.PASS else each for each in findings
        ]
    return tuple(findings)
