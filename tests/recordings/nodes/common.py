"""What all nodes are made of: files with their modes, certificates, and programs that wait."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.live.hosts.kubernetes import WAITER
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.pki import Pair, kubeconfig, pair

__all__ = [
    "EVERYWHERE",
    "LOCAL",
    "NODE",
    "Program",
    "authority",
    "client",
    "laid",
    "lay",
    "node",
    "place",
    "signed",
    "start",
    "tokens",
]  # fmt: skip

BOOT = "BOOT_IMAGE=/boot/vmlinuz-6.1.0-28-amd64 root=/dev/vda1 ro quiet"
NODE = "10.0.0.10"
EVERYWHERE, LOCAL = "::", "127.0.0.1"
YEARS = 3650

_STARTER = """
import ctypes, json, os, socket, subprocess, sys
libc = ctypes.CDLL(None, use_errno=True)
def start(told):
    if os.fork():
        return
    os.setsid()
    for place in told["cgroups"]:
        os.makedirs(place, exist_ok=True)
        with open(place + "/cgroup.procs", "w") as file:
            file.write(str(os.getpid()))
    for each in told["children"]:
        start(each)
    if told["contained"]:
        if libc.unshare(0x20000):
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.check_call(["mount", "--make-rprivate", "/"])
        for source, target in told["binds"]:
            os.makedirs(target, exist_ok=True)
            subprocess.check_call(["mount", "--bind", source, target])
    for address, port in told["listens"]:
        one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((address, port))
        one.listen()
        os.set_inheritable(one.detach(), True)
    null = os.open("/dev/null", os.O_RDWR)
    for each in (0, 1):
        os.dup2(null, each)
    os.chdir("/")
    if told["uid"]:
        os.setgid(told["uid"])
        os.setuid(told["uid"])
    os.dup2(null, 2)
    os.execve(told["path"], told["words"], told["environment"])
for each in json.load(sys.stdin):
    start(each)
"""


@dataclass(frozen=True)
class Program:
    """A program that waits.

    :param words: its whole command line.
    :param path: of its file, in which it lies; by default that of the first word.
    :param unit: of systemd, in whose cgroup it is; ``kubepods`` for that of a static pod.
    :param contained: it has a mount namespace of its own, in which ``binds`` are mounted.
    """

    words: Sequence[str]
    path: str = ""
    listens: Sequence[tuple[str, int]] = ()
    uid: int = 0
    unit: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    contained: bool = False
    binds: Sequence[tuple[str, str]] = ()
    children: Sequence[Program] = ()


def _told(program: Program) -> dict[str, object]:
    unit = program.unit
    place = "kubepods/burstable/pod1" if unit == "kubepods" else f"system.slice/{unit}"
    return asdict(program) | {
        "path": program.path or program.words[0],
        "cgroups": [f"/sys/fs/cgroup/systemd/{place}"] if unit else [],
        "children": [_told(each) for each in program.children],
        "environment": {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"} | dict(program.environment),
    }


def _paths(programs: Iterable[Program]) -> Iterator[str]:
    for each in programs:
        yield each.path or each.words[0]
        yield from _paths(each.children)


def place(host: OverlayHost, *paths: str) -> None:
    """Put the program that waits where there is none."""
    each = " ".join(map(shlex.quote, dict.fromkeys(paths)))
    host.run(
        f"cat >/root/waiter; for f in {each}; do [ -e $f ] && continue; mkdir -p $(dirname $f);"
        " cat /root/waiter >$f; chmod 755 $f; done; rm /root/waiter",
        stdin=WAITER,
    )


def start(host: OverlayHost, *programs: Program) -> None:
    """Start programs, in one step."""
    place(host, *_paths(programs))
    told = json.dumps([_told(each) for each in programs]).encode()
    host.run(f"python3 -c {shlex.quote(_STARTER)}", stdin=told)


def lay(host: OverlayHost, files: Mapping[str, str], mode: str = "600", then: str = "") -> None:
    """Write files in one step; directories that are not there are made as root's, 755."""
    script = "umask 022\n"
    for path, text in files.items():
        place = shlex.quote(path)
        script += f"mkdir -p $(dirname {place}) && printf %s {shlex.quote(text)} >{place}\n"
        script += f"chmod {mode} {place}\n"
    host.run("sh -e", stdin=(script + then).encode())


def laid(files: Mapping[str, str], folder: str) -> dict[str, str]:
    """Return files by their whole path."""
    return {f"{folder}/{name}": text for name, text in files.items()}


def authority(name: str) -> Pair:
    return pair(name, days=YEARS)


def signed(by: Pair, names: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """Return certificates and keys: what a file is called, whom it names, of which group."""
    found: dict[str, str] = {}
    for name, (user, group) in names.items():
        made = pair(user, by, organization=group)
        found |= {f"{name}.crt": made.certificate, f"{name}.key": made.private}
    return found


def client(user: str, group: str, by: Pair, authority: Pair | None = None) -> str:
    """Return a kubeconfig with a certificate in it."""
    return kubeconfig(user, pair(user, by, organization=group), authority or by)


def tokens() -> tuple[str, str]:
    """Return the key pair that signs tokens: private, public."""
    made = pair("tokens")
    public = made.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return made.private, public.decode()


@contextmanager
def node(name: str) -> Iterator[OverlayHost]:
    """A Debian without engine and without what the machine's Podman left of networks."""
    with OverlayHost(name) as host:
        host.write("/root/shown/cmdline", f"{BOOT}\n")
        host.run("mount --bind /root/shown/cmdline /proc/cmdline; rm -rf /etc/cni /usr/bin/kubectl")
        yield host
