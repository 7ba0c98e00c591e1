"""Processes that look to the kernel as the components of Kubernetes do.

Each runs a program of 178 bytes that only waits, but ends when it is asked for its version or its
settings, from a file of the right name and with the right command line, so that
``/proc/PID/cmdline``, ``exe``, ``cwd``, the user and the sockets are real.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence

from tests.live.hosts.overlay import OverlayHost

__all__ = ["run_program"]

_CODE = bytes.fromhex(
    "488b7424104885f67427"  # if there is an argv[1]
    "48b82d2d76657273696f483906740f"  # and it begins with --versio
    "48b8636f6e66696700644839067509"  # or is config, and argv[2] begins with d
    "31ffb83c0000000f05"  # exit(0)
    "b8220000000f05ebf7"  # pause() over and over
)
_SIZE = (120 + len(_CODE)).to_bytes(8, "little")
WAITER = (
    bytes.fromhex(
        "7f454c4602010100000000000000000002003e000100000078004000000000004000000000000000"
        "00000000000000000000000040003800010040000000000001000000050000000000000000000000"
        "00004000000000000000400000000000"
    )
    + _SIZE * 2
    + bytes.fromhex("0010000000000000")
    + _CODE
)
"""An ELF of x86-64."""

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
