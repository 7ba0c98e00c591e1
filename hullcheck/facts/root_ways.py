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

INTERPRETERS = frozenset(("python", "perl", "ruby", "lua", "node", "php", "tclsh", "expect"))
"""Without a program's name they read the program from whoever started them."""

CARRIERS = {
    "env": re.compile(r"-\S*|\w+=.*"), "nohup": re.compile("-.*"), "setsid": re.compile("-.*"),
    "nice": re.compile(r"-.*|\d+"), "ionice": re.compile(r"-.*|\d+"), "busybox": re.compile("-.*"),
    "toybox": re.compile("-.*"), "timeout": re.compile(r"-.*|[\d.]+[smhd]?"),
    "stdbuf": re.compile("-.*"), "time": re.compile("-.*"), "doas": re.compile("-.*"),
}  # fmt: skip
"""Programs that run the one named after them, and what may stand before its name."""

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
    if plain in ESCAPES or (plain in SHELLS | ANYTHING and free):
        return Way.ROOT
    return _fixed(plain, (arguments or "").split())


def _fixed(name: str, words: list[str]) -> Way:
    """Return what a program is worth whose arguments are written out."""
    if name in ("su", "runuser"):
        return _becomes(words)
    if name == "sudo":
        return Way.ROOT if {"-i", "-s"} & {*words} else _runs(_without(words, ("-u", "-g")))
    if name in CARRIERS:
        return _runs([each for each in words if not CARRIERS[name].fullmatch(each)])
    if name in SHELLS:
        return _shell(words)
    listens = "-i" in words or all(each == "-" for each in words)
    return Way.ROOT if listens and _VERSION.sub("", name) in INTERPRETERS else Way.NONE


def _becomes(words: list[str]) -> Way:
    """Return what ``su`` is worth: the shell of root, unless it names a command or another user."""
    for at, word in enumerate(words):
        if word in ("-c", "--command", "--session-command"):
            return _runs(words[at + 1 :])
    others = [each for each in _without(words, ("-s", "-g", "-G", "-w", "-u")) if each[:1] != "-"]
    return Way.ROOT if others[:1] in ([], ["root"]) else Way.NONE


def _shell(words: list[str]) -> Way:
    """Return what a shell is worth: root if it takes what to do from whoever started it."""
    words = _without(words, ("-o", "+o", "-O", "+O", "--rcfile", "--init-file"))
    short = [each for each in words if re.fullmatch(r"[-+]\w+", each)]
    operands = [each for each in words if each[:1] not in ("-", "+")]
    if any("c" in each for each in short):
        return _runs(operands)
    return Way.ROOT if not operands or any("s" in each for each in short) else Way.NONE


def _runs(words: list[str]) -> Way:
    """Return what a program is worth that runs another one, as it is written out."""
    plain = [each.strip("'\"") for each in words]
    return _named(posixpath.basename(plain[0]), " ".join(plain[1:])) if plain else Way.NONE


def _without(words: list[str], options: tuple[str, ...]) -> list[str]:
    """Return the words without options that take a value, and their values."""
    found, rest = [], iter(words)
    for word in rest:
        if word in options:
            next(rest, None)
        else:
            found.append(word)
    return found
