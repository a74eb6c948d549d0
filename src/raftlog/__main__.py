"""python -m raftlog: see cli.py."""

from __future__ import annotations

import sys

from raftlog.cli import main

if __name__ == "__main__":
    sys.exit(main())
