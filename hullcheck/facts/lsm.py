"""Mandatory access control: AppArmor and SELinux, as the kernel enforces them now."""

from __future__ import annotations

import re
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.kernel import Kernel
from hullcheck.facts.mounts import Mount
from hullcheck.facts.registry import get, provide
from hullcheck.facts.texts import lines_of
from hullcheck.transport import Answer, CannotAnswer, session_of, want

__all__ = [
    "ENGINE_PROFILES",
    "LSM",
    "AppArmor",
    "SELinux",
    "lsm",
    "parse_decisions",
    "parse_profiles",
]

ENGINE_PROFILES = re.compile(
    r"docker-default|containers-default-.+|cri-containerd\.apparmor\.d|crio-default"
    r"|nerdctl-default|buildkit-default"
)
"""The profiles that engines load for their containers, by the engines' sources."""

_ON = "/sys/module/apparmor/parameters/enabled"
_PROFILES = "/sys/kernel/security/apparmor/profiles"
_ENFORCE = "/sys/fs/selinux/enforce"
_CONFIG = "/etc/selinux/config"
_ACCESS, _CLASS = "/sys/fs/selinux/access", "/sys/fs/selinux/class/process/index"


CONTAINER_TYPES = ("container_t", "container_init_t", "container_kvm_t", "svirt_lxc_net_t")
"""The types that engines give to processes in containers (container-selinux)."""

DECISIONS = want(
    f'[ "$(stat -f -c %t {_ACCESS})" = f97cff8c ] && {{ read -r c <{_CLASS} && '
    f"for t in {' '.join(CONTAINER_TYPES)}; do s=system_u:system_r:$t:s0; "
    f"{{ printf '%s %s %s' $s $s $c >&3 && d=$(cat <&3) && echo \"$t $d\"; }} 3<>{_ACCESS}; "
    "done; :; }",
    meaning=(0, 1),
)
"""What SELinux decides of each type, and whether it holds to it: security_compute_av(3).

It is asked by writing a question to a file of selinuxfs, which changes nothing; no other file
system is written to.
"""

PERMISSIVE = 1
"""SELINUX_AVD_FLAGS_PERMISSIVE of selinux.h."""


def parse_decisions(answer: Answer) -> dict[str, bool]:
    """Return whether SELinux lets each type of containers go, of those that the policy knows."""
    found = {}
    for line in lines_of(answer):
        row = re.fullmatch(r"(\w+)(?: [0-9a-f]+){4} [0-9]+ ([0-9a-f]+)", line)
        if not row:
            raise CannotAnswer("what SELinux decides makes no sense")
        found[row[1]] = bool(int(row[2], 16) & PERMISSIVE)
    unclear = [each for each in answer.evidence.stderr.decode("utf-8", "replace").splitlines()
               if "nvalid argument" not in each]  # fmt: skip
    if unclear or not found:
        why = unclear[0][:120] if unclear else "the policy knows no type of containers"
        raise Unknown(f"cannot tell whether SELinux lets containers go: {why}; it may need root")
    return found


def parse_profiles(text: str) -> dict[str, str]:
    """Return each loaded AppArmor profile's mode: enforce, complain, kill, unconfined …"""
    rows = (re.fullmatch(r"(.+) \(([a-z]+)\)", line) for line in text.splitlines())
    return {row[1]: row[2] for row in rows if row}


@dataclass(frozen=True, slots=True)
class AppArmor:
    """AppArmor on a host."""

    kernel: Kernel

    @property
    def enabled(self) -> bool:
        """Whether the kernel has it and it was not switched off at boot."""
        return self.kernel.state(_ON) == "Y"

    @property
    def profiles(self) -> dict[str, str]:
        """The loaded profiles and their modes; empty where AppArmor is off.

        :raises Unknown: they can't be read (only root may), or securityfs is not mounted.
        """
        if not self.enabled:
            return {}
        text = self.kernel.state(_PROFILES)
        if text is None:
            raise Unknown("the AppArmor profiles cannot be seen: securityfs is not mounted")
        return parse_profiles(text)

    @property
    def engine_profiles(self) -> dict[str, str]:
        """Those of the loaded profiles that an engine loads for its containers."""
        return {
            name: mode for name, mode in self.profiles.items() if ENGINE_PROFILES.fullmatch(name)
        }


@dataclass(frozen=True, slots=True)
class SELinux:
    """SELinux on a host."""

    kernel: Kernel

    @property
    def enabled(self) -> bool:
        """Whether the kernel booted with it: only then does it know selinuxfs (selinuxfs.c)."""
        return "selinuxfs" in self.kernel.filesystems

    @property
    def enforcing(self) -> bool:
        """Whether it denies, now. :raises Unknown: selinuxfs is not mounted."""
        if not self.enabled:
            return False
        text = self.kernel.state(_ENFORCE)
        if text is None:
            raise Unknown(f"{_ENFORCE} is not there: selinuxfs is not mounted")
        return text.strip() == "1"

    @property
    def let_go(self) -> list[str]:
        """The types of containers that SELinux only logs: permissive domains.

        :raises Unknown: that cannot be asked, or the policy knows no containers.
        """
        decided = parse_decisions(session_of(self.kernel.host).ask(DECISIONS)[0])
        return [name for name, permissive in decided.items() if permissive]

    @property
    def configured(self) -> str:
        """The mode of the next boot: enforcing, permissive, disabled; empty if none is set.

        libselinux takes the first line that starts with ``SELINUX=``.
        """
        text = self.kernel.state(_CONFIG) or ""
        found = re.search(r"^SELINUX=\s*(\w+)", text, re.MULTILINE)
        return found[1].lower() if found else ""


class LSM:
    """The security modules of a host."""

    def __init__(self, kernel: Kernel) -> None:
        self.apparmor = AppArmor(kernel)
        self.selinux = SELinux(kernel)


@provide
def lsm(host: Host) -> LSM:
    """The security modules of the host. :raises Unknown: /sys is not mounted."""
    session_of(host).foresee(DECISIONS)
    kernel: Kernel = get(host, "kernel")
    mounts: list[Mount] = get(host, "mounts")
    if not any(mount.target == "/sys" for mount in mounts):
        raise Unknown("/sys is not mounted, so the security modules cannot be seen")
    return LSM(kernel)
