"""Programs that distributions ship with the rights of others, and those that nobody does.

Gathered from the packages of Debian, Ubuntu, Fedora and RHEL, SUSE (permissions.secure), Alpine and
Flatcar. dpkg does not know a file's mode, and no apk its capabilities: there, a name counts that is
in this list, lies in a directory of the system and belongs to a package.
"""

from __future__ import annotations

import posixpath
import re

__all__ = ["CAPABLE", "GENERAL", "HARMLESS", "SETGID", "SETUID", "in_system", "usual"]

SETUID = frozenset({
    "su", "sudo", "doas", "passwd", "chsh", "chfn", "chage", "gpasswd", "newgrp", "expiry",
    "unix_chkpwd", "unix2_chkpwd", "unix_update", "pam_timestamp_check", "userhelper",
    "usernetctl", "newuidmap", "newgidmap", "mount", "umount", "mount.nfs", "mount.nfs4",
    "umount.nfs", "umount.nfs4", "mount.cifs", "mount.davfs", "mount.ecryptfs_private",
    "fusermount", "fusermount3", "ntfs-3g", "eject", "dmcrypt-get-device", "pkexec",
    "polkit-agent-helper-1", "dbus-daemon-launch-helper", "ssh-keysign", "at", "crontab",
    "fcrontab", "fcronsighup", "procmail", "exim4", "exim", "ping", "ping6", "traceroute6.iputils",
    "arping", "clockdiff", "fping", "fping6", "mtr", "mtr-packet", "tcptraceroute", "pppd",
    "staprun", "cgexec", "cgclassify", "lxc-user-nic", "qemu-bridge-helper", "snap-confine",
    "bwrap", "firejail", "chrome-sandbox", "Xorg.wrap", "Xorg", "krb5_child", "ldap_child",
    "proxy_child", "selinux_child", "p11_child", "cockpit-session", "grub2-set-bootflag",
    "suexec", "suexec-custom", "suexec-pristine", "ksu", "spice-client-glib-usb-acl-helper",
    "vmware-user-suid-wrapper", "VBoxHeadless", "VBoxSDL", "VBoxNetAdpCtl", "VBoxNetDHCP",
    "VBoxNetNAT", "VirtualBoxVM", "bbsuid", "kcheckpass", "starter-suid",
})  # fmt: skip
"""By name: setuid in a package of a distribution."""

SETGID = frozenset({
    "chage", "expiry", "unix_chkpwd", "pam_extrausers_chkpwd", "crontab", "at", "ssh-agent",
    "ssh-keysign", "wall", "write", "bsd-write", "write.ul", "utempter", "screen", "mlocate",
    "plocate", "locate", "slocate", "lockfile", "dotlockfile", "dotlock.mailutils",
    "mutt_dotlock", "procmail", "postdrop", "postqueue", "postlog", "sendmail", "lockdev",
    "cgexec", "cgclassify", "netreport", "camel-lock-helper-1.2", "fcrontab", "fcronsighup",
    "kdesud", "passwd",
})  # fmt: skip
"""By name: setgid in a package of a distribution."""

CAPABLE = {
    "ping": {"cap_net_raw"}, "ping6": {"cap_net_raw"}, "arping": {"cap_net_raw"},
    "clockdiff": {"cap_net_raw", "cap_sys_nice"}, "mtr-packet": {"cap_net_raw"},
    "mtr": {"cap_net_raw"}, "fping": {"cap_net_raw"}, "fping6": {"cap_net_raw"},
    "traceroute6.iputils": {"cap_net_raw"}, "tcptraceroute": {"cap_net_raw"},
    "rdisc": {"cap_net_raw"}, "newuidmap": {"cap_setuid"}, "newgidmap": {"cap_setgid"},
    "dumpcap": {"cap_net_raw", "cap_net_admin", "cap_dac_override"},
    "gst-ptp-helper": {"cap_net_admin"}, "suexec": {"cap_setuid", "cap_setgid"},
    "arp-scan": {"cap_net_raw"}, "iftop": {"cap_net_raw"}, "nethogs": {"cap_net_raw",
    "cap_net_admin"}, "qemu-bridge-helper": {"cap_net_admin"},
    "cachefilesd": {"cap_sys_admin"}, "sssd_pam": {"cap_dac_read_search"},
    "krb5_child": {"cap_dac_read_search", "cap_setuid", "cap_setgid", "cap_chown",
    "cap_dac_override"}, "ldap_child": {"cap_dac_read_search"},
    "selinux_child": {"cap_setuid", "cap_setgid"}, "sssd_be": {"cap_dac_read_search"},
    "snap-confine": {"cap_chown", "cap_dac_override", "cap_dac_read_search", "cap_fowner",
    "cap_setgid", "cap_setuid", "cap_sys_chroot", "cap_sys_ptrace", "cap_sys_admin",
    "cap_kill", "cap_sys_resource"},
    "systemd-detect-virt": {"cap_dac_override", "cap_sys_ptrace"},
}  # fmt: skip
"""The capabilities of files in packages of distributions, beside the harmless ones."""

HARMLESS = frozenset({
    "cap_net_bind_service", "cap_sys_nice", "cap_ipc_lock", "cap_wake_alarm", "cap_block_suspend",
})  # fmt: skip
"""Capabilities that give nobody rights over others: low ports, priority, memory."""

GENERAL = re.compile(
    r"(?:ba|da|z|k|c|tc|a|fi)?sh|busybox|toybox|python[0-9.]*|perl[0-9.]*|ruby[0-9.]*|php[0-9.]*"
    r"|lua[0-9.]*|node|nodejs|tclsh[0-9.]*|expect|[gmn]?awk|sed|find|vim?[.a-z]*|view|nano|pico|ed"
    r"|emacs[0-9a-z-]*|less|more|most|cat|tac|head|tail|cp|mv|dd|tee|install|chmod|chown|ln|tar|cpio"
    r"|zip|unzip|rsync|scp|curl|wget|nc|ncat|nc\.[a-z]+|socat|openssl|gdb|strace|ltrace|env|xargs"
    r"|nice|timeout|setarch|stdbuf|taskset|flock|watch|time|nsenter|unshare|chroot|capsh|setpriv"
    r"|systemctl|systemd-run|docker|podman|runc|crun|ctr|nerdctl|crictl|kubectl|git|make|gcc|ld\.so"
    r"|ld-linux[a-z0-9.-]*|ld-[0-9.]+\.so|mawk|nmap|tcpdump|base64|xxd|od|script|screenfetch|man"
)
"""Programs that do what they are told: with root's rights they are root for everybody."""

_SYSTEM = re.compile(r"/(?:usr/)?(?:bin|sbin|lib|lib32|lib64|libexec)/.+")


def in_system(path: str) -> bool:
    """Whether a path is where packages of distributions put programs; not /usr/local, not /opt."""
    return bool(_SYSTEM.fullmatch(path)) and posixpath.normpath(path) == path


def usual(path: str, *, setuid: bool, setgid: bool) -> bool:
    """Whether distributions ship a program of this name with these bits."""
    name = posixpath.basename(path)
    return (not setuid or name in SETUID) and (not setgid or name in SETGID)
