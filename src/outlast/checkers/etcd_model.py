"""What one copy of etcd does: requests on the whole store, each with the revision at which it was answered.

A request's value is [what was asked, what was answered], as the reader of etcd's robustness tests writes it; an answer
of None says nothing. Source: etcd's tests/robustness/model/deterministic.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from outlast.checkers.linearizable.models import Call, Model, Next
from outlast.history.values import freeze

_Key = tuple[str, int, int, int]
"""What a key holds: value, revision of its last change, version (1 since it was made), lease (0: none)."""


@dataclass(frozen=True, slots=True)
class EtcdStore:
    """A state. keys: frozen pairs of a key and what it holds. leases: those that live."""

    revision: int = 1
    keys: frozenset[tuple[str, _Key]] = frozenset()
    leases: frozenset[int] = frozenset()


def _step(state: EtcdStore, call: Call) -> Next:
    if not isinstance(call.value, tuple) or len(call.value) != 2:
        raise ValueError("a request is [what was asked, what was answered]")
    asked, answered = call.value
    if not isinstance(asked, tuple) or not (answered is None or (isinstance(answered, tuple) and answered)):
        raise ValueError("a request is [what was asked, what was answered]")
    keys: dict[str, _Key] = dict(state.keys)
    after, answer = _ACTS[call.f](state, keys, asked)
    return (after,) if answered is None or answered == answer else None


def _range(state: EtcdStore, keys: dict[str, _Key], asked: Any) -> tuple[EtcdStore, Any]:
    return state, (state.revision, _found(keys, *asked))


def _found(keys: dict[str, _Key], start: str, end: str, limit: int) -> Any:
    """Return what a range gives: the keys with values and revisions, and how many there are beyond the limit too."""
    if end:
        names = [key for key in sorted(keys) if key >= start and (end == "\0" or key < end)]
    else:
        names = [start] if start in keys else []
    shown = names[:limit] if limit else names
    return tuple((name, *keys[name][:2]) for name in shown), len(names)


def _txn(state: EtcdStore, keys: dict[str, _Key], asked: Any) -> tuple[EtcdStore, Any]:
    conditions, on_success, on_failure = asked
    nothing: _Key = ("", 0, 0, 0)
    missed = any(
        keys.get(key, nothing)[2 if what == "version" else 1] != due for key, what, due in conditions
    )
    following, changed, results = state.revision + 1, False, []
    for name, *arguments in on_failure if missed else on_success:
        result: Any = None
        if name == "range":
            result = _found(keys, *arguments)
        elif name == "put":
            key, value, lease = arguments
            if not lease or lease in state.leases:
                keys[key] = (value, following, keys.get(key, nothing)[2] + 1, lease)
                changed = True
        elif name == "delete":
            result = int(keys.pop(arguments[0], None) is not None)
            changed = changed or bool(result)
        else:
            raise ValueError(f"no operation of a transaction: {name}")
        results.append(result)
    revision = following if changed else state.revision
    after = EtcdStore(revision, frozenset(keys.items()), state.leases)
    return after, (revision, freeze(missed), tuple(results))


def _grant(state: EtcdStore, keys: dict[str, _Key], asked: Any) -> tuple[EtcdStore, Any]:
    (lease,) = asked
    return EtcdStore(state.revision, state.keys, state.leases | {lease}), (state.revision,)


def _revoke(state: EtcdStore, keys: dict[str, _Key], asked: Any) -> tuple[EtcdStore, Any]:
    (lease,) = asked
    left = frozenset(item for item in state.keys if not lease or item[1][3] != lease)
    revision = state.revision + (left != state.keys)
    return EtcdStore(revision, left, state.leases - {lease}), (revision,)


_ACTS: Final = {"range": _range, "txn": _txn, "leaseGrant": _grant, "leaseRevoke": _revoke}


def _show(state: EtcdStore) -> str:
    held = {key: value for key, (value, *_) in sorted(state.keys)}
    return f"revision {state.revision}, {held}"


ETCD: Final = Model(
    "etcd",
    EtcdStore(),
    _step,
    frozenset(_ACTS),
    pure=frozenset({"range"}),
    matches=frozenset(),
    show=_show,
)
"""etcd's key-value store with revisions, transactions and leases."""
