"""What lets pg_autoctl 2.0 promote a candidate that has fetched missing WAL from another standby (``fast_forward``).

By itself it cannot with PostgreSQL 13 or newer. It gives the candidate the end of that WAL as recovery_target_lsn,
where no record begins, so the target never counts as reached; and it removes standby.signal before it promotes. The
server then ends ("recovery ended before configured recovery target was reached"; without the target, "could not remove
file standby.signal"), pg_autoctl starts it again, and it takes writes on the old timeline, the old primary's.

Two things mend it, both where pg_autoctl calls PostgreSQL: a server that is given such a target is started without it
(a ``-c`` beats the file), and a pg_ctl puts the signal file back before it promotes a server that is still in recovery.
An empty recovery_target_lsn in postgresql.conf would not do: it clashes with the other target that pg_autoctl sets
before a rewind. Source: PostgreSQL's xlogrecovery.c and xlog.c, StartupXLOG.
"""

from __future__ import annotations

from typing import Final

from outlast.config.cluster import ClusterSpec
from outlast.hosts.base import Host
from outlast.systems.pg_auto_failover import settings
from outlast.systems.postgres.install import PostgresInstall

FOLDER: Final = "pg-bin"
"""On each host: PostgreSQL's programs as links, for pg_autoctl takes all of them from where it finds pg_ctl."""

PG_CTL: Final = """\
#!/bin/sh
# pg_ctl for pg_autoctl: before a server in recovery is promoted, its standby.signal is put back.
real=%s
for word in "$@"; do
    case $before in -D | --pgdata) data=$word ;; esac
    case $word in promote) promote=yes ;; esac
    before=$word
done
if [ "$promote" ] && [ -d "$data" ] && [ ! -e "$data/standby.signal" ]; then
    case $(LC_ALL=C "$real/pg_controldata" "$data") in
        *"in archive recovery"*) : >"$data/standby.signal" ;;
    esac
fi
exec "$real/pg_ctl" "$@"
"""

POSTGRES: Final = """\
#!/bin/sh
# postgres for pg_autoctl: a standby that fetches missing WAL is started without a recovery target.
real=%s
for word in "$@"; do
    case $before in -D) data=$word ;; esac
    before=$word
done
if [ "$data" ] && grep -qs '^recovery_target_lsn' "$data/postgresql-auto-failover-standby.conf"; then
    set -- "$@" -c recovery_target_lsn=
fi
exec "$real/postgres" "$@"
"""

OURS: Final = {"pg_ctl": PG_CTL, "postgres": POSTGRES}


async def programs(spec: ClusterSpec, host: Host, install: PostgresInstall) -> str:
    """Return the folder in which pg_autoctl on a host is to find PostgreSQL's programs; makes it where it is ours."""
    if not settings.pace(spec)["mend_fast_forward"]:
        return str(install.bin_dir)
    folder = host.folder / FOLDER
    if not (folder / "pg_ctl").exists():
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        for program in install.bin_dir.iterdir():
            link = folder / program.name
            if program.name not in OURS and not link.is_symlink():
                link.symlink_to(program)
        for name, script in sorted(OURS.items(), reverse=True):  # pg_ctl last: it is what is looked for
            await host.put(f"{FOLDER}/{name}", (script % _quoted(str(install.bin_dir))).encode(), 0o755)
    return str(folder)


def _quoted(path: str) -> str:
    """Return a path as one word of sh."""
    return "'" + path.replace("'", "'\\''") + "'"
