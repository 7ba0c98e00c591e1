"""Which directories of a host no container should see."""

from __future__ import annotations

from hullcheck.facts.mounts import within

__all__ = ["HOME_DEPTH", "PUBLIC", "TREES", "WHOLES", "private", "sensitive"]

TREES = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/root",
    "/run/containerd", "/run/crio", "/run/dbus", "/run/docker", "/run/podman", "/run/systemd",
    "/sbin", "/sys", "/usr", "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker",
    "/var/lib/dpkg", "/var/lib/kubelet", "/var/lib/rpm", "/var/lib/systemd", "/var/spool/cron",
)  # fmt: skip
"""Directories of which no part belongs in a container."""

WHOLES = ("/home", "/run", "/var/log")
"""Directories that do not belong in a container as a whole, nor what contains them."""

PUBLIC = (
    "/etc/ca-certificates", "/etc/hostname", "/etc/hosts", "/etc/localtime", "/etc/resolv.conf",
    "/etc/pki/ca-trust/extracted", "/etc/ssl/certs",
    "/etc/timezone", "/usr/share/ca-certificates", "/usr/share/zoneinfo",
)  # fmt: skip
"""What everybody may know: no harm in a container that cannot write it."""

HOME_DEPTH = 2


def private(name: str) -> bool:
    """Whether a path below /home is a whole home, or hidden in one: keys, tokens, histories."""
    parts = name.split("/")[HOME_DEPTH:]
    return len(parts) == 1 or parts[1].startswith(".")


def sensitive(name: str, *, writable: bool) -> bool:
    """Whether a path of the host is one of those, or holds or is in one."""
    if not writable and any(within(name, each) for each in PUBLIC):
        return False
    return (
        any(within(name, tree) or within(tree, name) for tree in TREES)
        or any(within(whole, name) for whole in WHOLES)
        or (within(name, "/home") and private(name))
    )
