"""Processes that look to the kernel as the components of Kubernetes do.

Each runs a program of 129 bytes that only waits (pause(2)), from a file of the right name and with
the right command line, so that ``/proc/PID/cmdline``, ``exe``, ``cwd``, the user and the sockets
are real.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence

from tests.live.hosts.overlay import OverlayHost

__all__ = ["run_program"]

WAITER = bytes.fromhex(
    "7f454c4602010100000000000000000002003e000100000078004000000000004000000000000000"
    "0000000000000000000000004000380001004000000000000100000005000000000000000000000000"
    "004000000000000000400000000000810000000000000081000000000000000010000000000000"
    "b8220000000f05ebf7"
)
"""An ELF of x86-64: ``mov $34, %eax; syscall`` over and over."""

_STARTER = """
import json, os, socket, sys
told = json.load(sys.stdin)
if os.fork():
    sys.exit()
os.setsid()
for address, port in told["listens"]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    one = socket.socket(family)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    one.bind((address, port))
    one.listen()
    os.set_inheritable(one.detach(), True)
null = os.open("/dev/null", os.O_RDWR)
for each in (0, 1, 2):
    os.dup2(null, each)
os.chdir(told["cwd"])
if told["uid"]:
    os.setgid(told["uid"])
    os.setuid(told["uid"])
print = None
os.execv(told["path"], told["words"])
"""


def run_program(
    host: OverlayHost,
    path: str,
    words: Sequence[str],
    *,
    listens: Iterable[tuple[str, int]] = (),
    uid: int = 0,
    cwd: str = "/",
) -> None:
    """Start a program that only waits on a host.

    :param path: of its file, which is made if there is none.
    :param words: its whole command line, its own name first.
    :param listens: addresses and ports on which it listens (and never answers).
    """
    quoted = shlex.quote(path)
    host.run(
        f"[ -e {quoted} ] && exit; mkdir -p $(dirname {quoted});"
        f" cat >{quoted} && chmod 755 {quoted}",
        stdin=WAITER,
    )
    told = {"path": path, "words": list(words), "listens": list(listens), "uid": uid, "cwd": cwd}
    host.run(f"python3 -c {shlex.quote(_STARTER)}", stdin=json.dumps(told).encode())
