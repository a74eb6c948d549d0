#!/bin/sh
# Make a virtual environment, or say in one line what this machine lacks. usage: venv.sh PYTHON DIR
set -eu
python=$1
venv=$2
if ! command -v "$python" >/dev/null 2>&1; then
  echo "outlast needs Python 3.11 or newer and there is no '$python' here." >&2
  echo "hint: apt-get install python3 python3-venv   (or: make PYTHON=/path/to/python3.11 ...)" >&2
  exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  echo "outlast needs Python 3.11 or newer; '$python' is $("$python" -V 2>&1)." >&2
  echo "hint: install a newer one and run: make PYTHON=/path/to/python3.11 ..." >&2
  exit 1
fi
[ -x "$venv/bin/pip" ] && exit 0
if ! "$python" -c 'import ensurepip' >/dev/null 2>&1; then
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
  else
    echo "this Python has no 'venv' module." >&2
    echo "hint: sudo apt-get install python3-venv" >&2
    exit 1
  fi
fi
exec "$python" -m venv "$venv"
