"""A disk that fails: the file system finds an error and turns read-only, as ext4 does with errors=remount-ro.

The kernel is asked to report one (/sys/fs/ext4/<device>/trigger_fs_error); what follows is its own.
"""

from __future__ import annotations

from typing import Final

from outlast.faults.base import Effect, Fault, Injection
from outlast.faults.disk_fault import DiskFault, disk_of, mount_again
from outlast.systems.base import Cluster


class DiskReadOnly(DiskFault):
    """What is on the disk can be read; nothing can be written, and what was not synced is lost."""

    name = "disk_read_only"
    about = "a disk reports an error and takes no more writes; what is on it can be read"

    async def act(self, cluster: Cluster, injection: Injection) -> None:
        """Report an error."""
        for target in injection.targets:
            await disk_of(cluster, target).fail()

    async def effective(self, cluster: Cluster, injection: Injection) -> Effect:
        """Try to write, and to read."""
        for target in injection.targets:
            if not disk_of(cluster, target).is_stopped:
                return Effect(False, f"{target}: its disk takes writes")
            try:
                held = [path for path in cluster.lab.hosts[target].folder.iterdir() if path.is_file()]
                read = any(path.read_bytes() for path in held) or not held
            except OSError as error:
                return Effect(False, f"{target}: its disk cannot be read: {error}")
            if not read:
                return Effect(False, f"{target}: its disk reads as empty")
        return Effect(True, f"{', '.join(injection.targets)}: the disk can be read and not written")

    async def heal(self, cluster: Cluster, injection: Injection) -> None:
        """Switch the host off, mount its disk again, switch it on: what an operator does."""
        await mount_again(cluster, injection.targets)


FAULTS: Final[tuple[Fault, ...]] = (DiskReadOnly(),)
