"""All faults, by name. A new fault is one file with its FAULTS and one line here."""

from __future__ import annotations

from holdfast.errors import ConfigError
from holdfast.faults import (
    backend_terminate,
    clock,
    connections_exhausted,
    crash_loop,
    dcs,
    disk_full,
    disk_read_only,
    host_frozen,
    host_power_off,
    host_restart,
    long_transaction,
    memory_limit,
    net_partition,
    page_damage,
    power_loss,
    process_signal,
    promote_behind_manager,
    replay_pause,
    slot_drop,
    starved,
    stop_all,
    walreceiver_block,
)
from holdfast.faults.base import Fault

_MODULES = (
    backend_terminate,
    clock,
    connections_exhausted,
    crash_loop,
    dcs,
    disk_full,
    disk_read_only,
    host_frozen,
    host_power_off,
    host_restart,
    long_transaction,
    memory_limit,
    net_partition,
    page_damage,
    power_loss,
    process_signal,
    promote_behind_manager,
    replay_pause,
    slot_drop,
    starved,
    stop_all,
    walreceiver_block,
)
_FAULTS: dict[str, Fault] = {fault.name: fault for module in _MODULES for fault in module.FAULTS}


def faults() -> tuple[Fault, ...]:
    """Return all faults, by name."""
    return tuple(_FAULTS[name] for name in sorted(_FAULTS))


def fault(name: str) -> Fault:
    """Return a fault by name. Raises ConfigError naming those there are."""
    if name not in _FAULTS:
        raise ConfigError(f"there is no fault {name}", hint=f"there is: {', '.join(sorted(_FAULTS))}")
    return _FAULTS[name]
