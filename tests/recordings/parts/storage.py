"""Storage on the recorded hosts: in order on ``sound``, with every fault on ``rotten``.

All hosts have a bind mount of a real file system at /var/lib/docker; a line of fstab stands for the
partition that an administrator would have there. On ``sound``, image_stores.py mounts another.
"""

from __future__ import annotations

from tests.live.hosts.overlay import OverlayHost

__all__ = ["LINE", "SWAPS", "plain", "rotten", "sound"]

LINE = "/dev/vdb1 /var/lib/docker ext4 defaults 0 2\n"
SHM = "tmpfs /dev/shm tmpfs nosuid,nodev,noexec 0 0\n"
TMP = "tmpfs /tmp tmpfs nosuid,nodev,noexec,mode=1777 0 0\n"
SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n/dev/vdc1 partition 2097148 0 -2\n"
HIDDEN = "/opt/.cache"


def plain(host: OverlayHost) -> None:
    host.write("/etc/fstab", LINE)


def sound(host: OverlayHost) -> None:
    host.write("/etc/fstab", f"{LINE}/dev/vdb2 /var/lib/containers ext4 defaults 0 2\n{SHM}")
    host.run("mount -o remount,nosuid,nodev,noexec /dev/shm")


def rotten(host: OverlayHost) -> None:
    """What can be left on a host to come back by, and its disk in others' hands."""
    host.write("/etc/fstab", SHM + TMP)
    host.run("mount -o remount,suid,dev,exec /dev/shm")
    host.run(
        f"mkdir -p {HIDDEN} && cp /bin/true {HIDDEN}/sh && chmod 4755 {HIDDEN}/sh && "
        f"cp /bin/true {HIDDEN}/py && setcap cap_setuid=ep {HIDDEN}/py && "
        f"mknod -m 666 {HIDDEN}/disk b 254 0"
    )
    host.write("/etc/exports.d/all.exports", "/opt *(rw,no_root_squash)\n")
    host.run("chown mallory /opt/engine")
    host.write("/root/shown/swaps", SWAPS)
    host.run("mount --bind /root/shown/swaps /proc/swaps")
