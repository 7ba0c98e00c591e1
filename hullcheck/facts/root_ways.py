"""Which commands hand root's rights to whoever may run them as root.

Engines, by their own documentation (Docker, "Docker daemon attack surface"), and programs that
run another one, or read and write any file, as their manual pages say.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from enum import Enum

from hullcheck.facts.sudoers import Command

__all__ = ["ENGINE_PROGRAMS", "Way", "way_of"]

ENGINE_PROGRAMS = frozenset((
    "docker", "docker-compose", "podman", "podman-compose", "podman-remote", "buildah", "skopeo",
    "ctr", "nerdctl", "crictl", "kubectl", "k3s", "microk8s", "microk8s.kubectl", "microk8s.ctr",
    "oc", "kubeadm", "runc", "crun", "youki", "kata-runtime", "buildctl", "balena-engine", "lxc",
    "lxd", "incus", "lxc-attach", "lxc-execute", "lxc-start", "virsh", "machinectl",
    "systemd-nspawn", "systemd-run", "nsenter", "unshare", "chroot", "mount",
))  # fmt: skip
"""Programs that start a container, or step into or around one."""

SHELLS = frozenset(("sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish", "tcsh", "csh",
                    "rbash", "su", "login", "busybox", "toybox"))  # fmt: skip

ESCAPES = frozenset((
    "vi", "vim", "vim.basic", "vim.tiny", "nvim", "vimdiff", "view", "nano", "emacs", "ed", "less",
    "more", "man", "top", "ftp", "gdb", "screen", "tmux", "mysql", "psql", "visudo", "vigr", "vipw",
    "crontab", "chroot", "nsenter", "unshare",
))  # fmt: skip
"""Whatever they are told to do, they run what is typed into them, or edit what decides."""

ANYTHING = frozenset((
    "sudo", "doas", "env", "python", "python2", "python3", "perl", "ruby", "lua", "node", "php",
    "tclsh", "expect", "awk", "gawk", "mawk", "find", "xargs", "tar", "zip", "cpio", "cp", "mv",
    "ln", "dd", "tee", "cat", "head", "tail", "sed", "install", "rsync", "scp", "ssh", "socat",
    "nc", "curl", "wget", "git", "make", "gcc", "strace", "ltrace", "ld.so", "nice", "ionice",
    "timeout", "nohup", "setsid", "watch", "script", "time", "taskset", "stdbuf", "flock",
    "setpriv", "runuser", "capsh", "start-stop-daemon", "run-parts", "chmod", "chown", "chgrp",
    "setfacl", "setcap", "usermod", "useradd", "adduser", "groupmod", "gpasswd", "passwd",
    "chpasswd", "chsh", "apt", "apt-get", "aptitude", "dpkg", "dnf", "yum", "rpm", "zypper",
    "apk", "pacman", "snap", "pip", "pip3", "npm", "gem", "systemctl", "service", "journalctl",
    "at", "batch", "insmod", "modprobe", "kexec", "debugfs", "losetup", "ansible",
    "ansible-playbook", "puppet", "openssl", "tcpdump", "nmap", "vlock", "base64", "xxd",
    "cryptsetup", "mkfs", "parted", "fdisk", "update-alternatives",
))  # fmt: skip
"""Programs that run, read or write what their arguments say: root's, unless these are fixed."""

FOLDERS = ("/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin",
           "/snap/bin")  # fmt: skip
PRECIOUS = ("/etc/sudoers", "/etc/passwd", "/etc/shadow", "/etc/group", "/etc/gshadow",
            "/etc/crontab", "/etc/cron.", "/etc/pam.d", "/etc/ld.so", "/root/", "/etc/systemd/",
            "/etc/doas", "/etc/profile")  # fmt: skip
UNITS = frozenset(("systemctl", "service", "journalctl"))

_WILD = re.compile(r"(?<!\\)[*?\[]")
_VERSION = re.compile(r"[\d.]+$")


class Way(Enum):
    """What a command that runs as root is worth."""

    NONE = "nothing more than what it does"
    ROOT = "root's rights"
    ENGINE = "root's rights, through an engine"
    UNCLEAR = "more than can be told"


def way_of(command: Command) -> Way:
    """Return what a command is worth to whoever may run it as root."""
    text, arguments = command.text, command.arguments
    if text == "list":
        return Way.NONE
    if text == "ALL":
        return Way.ROOT
    if text.startswith("^") or (arguments or "").startswith("^"):
        return Way.UNCLEAR
    if text == "sudoedit":
        return _edits(arguments)
    if text.endswith("/") or _WILD.search(text):
        ways = {_named(name, arguments) for name in _possible(text)}
        return next((each for each in (Way.ENGINE, Way.ROOT) if each in ways), Way.NONE)
    return _named(posixpath.basename(text), arguments)


def _edits(arguments: str | None) -> Way:
    if arguments is None or _WILD.search(arguments):
        return Way.ROOT
    files = arguments.split()
    precious = any(each.startswith(PRECIOUS) or ".." in each for each in files)
    return Way.ROOT if precious else Way.NONE


def _possible(text: str) -> list[str]:
    """Return the names of the programs above that a folder or a pattern lets through."""
    known = sorted(ENGINE_PROGRAMS | SHELLS | ESCAPES | ANYTHING)
    folder, _, pattern = text.rpartition("/")
    places = fnmatch.filter(FOLDERS, folder)
    return fnmatch.filter(known, pattern or "*") if places else []


def _named(name: str, arguments: str | None) -> Way:
    plain = (
        name if name in ENGINE_PROGRAMS | SHELLS | ESCAPES | ANYTHING else _VERSION.sub("", name)
    )
    free = arguments is None or bool(_WILD.search(arguments))
    if plain in UNITS and arguments is not None:
        free = bool(_WILD.search(arguments.split(" ")[0]))
    if plain in ENGINE_PROGRAMS and (free or plain in ESCAPES):
        return Way.ENGINE
    if plain in ESCAPES or (plain in SHELLS and (free or not arguments)):
        return Way.ROOT
    return Way.ROOT if plain in ANYTHING and free else Way.NONE
