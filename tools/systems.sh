#!/bin/sh
# Install the Debian programs that some systems and routes need, and start none of them. usage: systems.sh
# Quick when all is there. A program that cannot be had is named and skipped: what needs it refuses to run and its
# tests skip. Ends with 1 then, with 2 when nothing can be installed here at all.
set -u

PACKAGES="
postgresql-15 postgresql-15-auto-failover pg-auto-failover-cli
pgpool2 haproxy pgbouncer pgbackrest
etcd-server etcd-client
prometheus prometheus-alertmanager prometheus-postgres-exporter
chromium kcat gcc libc6-dev
"

is_there() { [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = "ii " ]; }
missing() { for package in $PACKAGES; do is_there "$package" || echo "$package"; done; }

wanted=$(missing)
if [ -z "$wanted" ]; then
  echo "systems: all programs are there"
  exit 0
fi
if ! command -v apt-get >/dev/null 2>&1; then
  echo "systems: this machine has no apt-get; install by other means:" $wanted >&2
  exit 2
fi
if [ "$(id -u)" != 0 ]; then
  echo "systems: root is needed to install:" $wanted >&2
  echo "hint: sudo make systems" >&2
  exit 2
fi

# Debian starts what it installs unless this file forbids it; one that is there already stays as it is.
policy=/usr/sbin/policy-rc.d
undo() { [ -z "${made:-}" ] || rm -f "$policy"; }
trap undo EXIT
trap 'exit 130' INT TERM HUP
if [ ! -e "$policy" ]; then
  made=yes
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 755 "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
echo "systems: installing" $wanted
timeout 300 apt-get update -qq || echo "systems: the package lists could not be refreshed" >&2
install() { timeout 900 apt-get install -y -qq --no-install-recommends -o Dpkg::Use-Pty=0 "$@" >/dev/null; }
# All at once is quick; when one of them cannot be had, the others still can.
install $wanted || for package in $wanted; do is_there "$package" || install "$package"; done

# Nor are they to start with the machine: what Outlast runs of them, it runs in its labs.
if [ -d /run/systemd/system ]; then
  for package in $wanted; do
    for unit in $(dpkg -L "$package" 2>/dev/null | sed -n 's|.*/systemd/system/\([^/@]*\.service\)$|\1|p'); do
      systemctl disable --quiet "$unit" 2>/dev/null || true
    done
  done
fi

left=$(missing)
if [ -n "$left" ]; then
  echo "systems: cannot be had here:" $left >&2
  exit 1
fi
echo "systems: all programs are there"
