"""All faults, by name. A new fault is one file and one line here."""

from __future__ import annotations

from holdfast.errors import ConfigError
from holdfast.faults.base import Fault
from holdfast.faults.host_power_off import HostPowerOff
from holdfast.faults.net_blackhole import NetBlackhole
from holdfast.faults.net_corrupt import NetCorrupt
from holdfast.faults.net_delay import NetDelay
from holdfast.faults.net_duplicate import NetDuplicate
from holdfast.faults.net_jitter import NetJitter
from holdfast.faults.net_loss import NetLoss
from holdfast.faults.net_partition import NetPartition
from holdfast.faults.net_rate import NetRate
from holdfast.faults.net_reset import NetReset
from holdfast.faults.net_slow_close import NetSlowClose
from holdfast.faults.process_kill import ProcessKill

_ALL: tuple[Fault, ...] = (
    HostPowerOff(),
    NetBlackhole(),
    NetCorrupt(),
    NetDelay(),
    NetDuplicate(),
    NetJitter(),
    NetLoss(),
    NetPartition(),
    NetRate(),
    NetReset(),
    NetSlowClose(),
    ProcessKill(),
)
_FAULTS = {fault.name: fault for fault in _ALL}


def faults() -> tuple[Fault, ...]:
    """Return all faults, by name."""
    return tuple(_FAULTS[name] for name in sorted(_FAULTS))


def fault(name: str) -> Fault:
    """Return a fault by name. Raises ConfigError naming those there are."""
    if name not in _FAULTS:
        raise ConfigError(f"there is no fault {name}", hint=f"there is: {', '.join(sorted(_FAULTS))}")
    return _FAULTS[name]
