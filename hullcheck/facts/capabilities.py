"""Linux capabilities: masks from ``/proc``, and the names people and engines give them.

Numbers are those of ``include/uapi/linux/capability.h``; see capabilities(7).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hullcheck.control import Unknown

__all__ = ["DOCKER_DEFAULT", "NAMES", "Capabilities", "configured", "from_mask", "mask_of", "names"]

_KERNEL = """CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP
    LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE
    SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME
    SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG
    WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"""
_DOCKER = """AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW
    SETFCAP SETGID SETPCAP SETUID SYS_CHROOT"""

NAMES = tuple(f"CAP_{name}" for name in _KERNEL.split())

DOCKER_DEFAULT = frozenset(f"CAP_{name}" for name in _DOCKER.split())
"""What Docker gives a container that asks for nothing (moby, oci/caps/defaults.go)."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The five capability sets of a process, as masks and as names."""

    effective_mask: int
    permitted_mask: int
    bounding_mask: int
    inheritable_mask: int
    ambient_mask: int

    @property
    def effective(self) -> frozenset[str]:
        return from_mask(self.effective_mask)

    @property
    def permitted(self) -> frozenset[str]:
        return from_mask(self.permitted_mask)

    @property
    def bounding(self) -> frozenset[str]:
        return from_mask(self.bounding_mask)

    @property
    def inheritable(self) -> frozenset[str]:
        return from_mask(self.inheritable_mask)

    @property
    def ambient(self) -> frozenset[str]:
        return from_mask(self.ambient_mask)

    @property
    def held(self) -> frozenset[str]:
        """What the process has now or can take for itself without a new program."""
        return from_mask(self.effective_mask | self.permitted_mask | self.ambient_mask)

    @property
    def reachable(self) -> frozenset[str]:
        """What it has, and what a setuid program or one with file capabilities could give it."""
        return self.held | self.inheritable | self.bounding


def from_mask(mask: int) -> frozenset[str]:
    """Return the names of the bits of a mask; a bit newer than this table is ``CAP_41`` …"""
    return frozenset(
        NAMES[bit] if bit < len(NAMES) else f"CAP_{bit}"
        for bit in range(mask.bit_length())
        if mask >> bit & 1
    )


def mask_of(text: str) -> int:
    """Return a mask as ``/proc/PID/status`` prints it: hexadecimal, at most 64 bits.

    :raises Unknown: it is nothing of the kind.
    """
    digits = text.strip()
    if not digits or len(digits) > 16 or set(digits) - set("0123456789abcdefABCDEF"):
        raise Unknown(f"{text!r} is not a capability mask")
    return int(digits, 16)


def names(given: Iterable[str] | None) -> frozenset[str]:
    """Return names in their one spelling: ``sys_admin`` and ``Cap_Sys_Admin`` are one thing."""
    spelt = (name.strip().upper().removeprefix("CAP_") for name in given or ())
    return frozenset(name if name == "ALL" else f"CAP_{name}" for name in spelt if name)


def configured(
    add: Iterable[str] | None, drop: Iterable[str] | None, privileged: bool = False
) -> frozenset[str]:
    """Return what a container gets that is created with these (moby, oci/caps/utils.go)."""
    added, dropped = names(add), names(drop)
    if privileged:
        return frozenset(NAMES)
    if "ALL" in added:
        return frozenset(NAMES) - dropped
    if "ALL" in dropped:
        return added
    return (DOCKER_DEFAULT - dropped) | added
