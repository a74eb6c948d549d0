"""Calls a Python function as a program of its own.

    python -m outlast.hosts.netns.call_function NAME FUNCTION ARGUMENT…

What a host's init otherwise does in a fork of itself, for hosts whose programs must be started anew because the
dynamic loader has something to do for them (a clock of their own).
"""

from __future__ import annotations

import importlib
import sys

from outlast.hosts.netns import syscalls

if __name__ == "__main__":
    syscalls.set_process_name(sys.argv[1])
    sys.argv = sys.argv[2:]
    package, _, function = sys.argv[0].partition(":")
    sys.exit(getattr(importlib.import_module(package), function)())
