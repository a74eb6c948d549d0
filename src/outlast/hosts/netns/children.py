"""Children of the wires process: forked, busy with one thing, and gone."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterable
from typing import Final, NoReturn

_FILES_MAX: Final = 65536


def run_in_child(work: Callable[[], None], keep: Iterable[int]) -> NoReturn:
    """In a forked child: close every descriptor but 0 to 2 and keep, work, and end."""
    try:
        low = 3
        for fd in sorted(set(keep)):
            os.closerange(low, fd)
            low = fd + 1
        os.closerange(low, max(_FILES_MAX, low))
        work()
    except SystemExit:
        pass
    except BaseException:  # noqa: BLE001 - the child must end here, whatever happened
        traceback.print_exc()
    finally:
        os._exit(0)
    raise AssertionError("unreachable")
