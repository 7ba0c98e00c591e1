"""Images made here, from Debian's busybox-static: nothing is pulled."""

from __future__ import annotations

import functools
import io
import subprocess
import tarfile
from collections.abc import Mapping

BUSYBOX = "/bin/busybox"
WAIT = "trap 'exit 0' TERM; while :; do sleep 1000000 & wait $!; done"
FOREVER = f'CMD ["sh", "-c", "{WAIT}"]'
ACCOUNTS = {
    "etc/passwd": b"root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
    "etc/group": b"root:x:0:\napp:x:1000:\n",
}


def busybox_tar(extra: Mapping[str, tuple[bytes, int]] | None = None) -> bytes:
    """Return a root file system as a tar: busybox, its applets, two accounts, and extra files
    as {path: (content, mode)}."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name, mode in {"bin": 0o755, "etc": 0o755, "root": 0o700, "tmp": 0o1777}.items():
            _add(tar, name, tarfile.DIRTYPE, mode)
        _add(tar, "bin/busybox", tarfile.REGTYPE, 0o755, _program())
        for applet in _applets():
            _add(tar, f"bin/{applet}", tarfile.SYMTYPE, 0o777, link="busybox")
        files = {path: (content, 0o644) for path, content in ACCOUNTS.items()} | dict(extra or {})
        for path, (content, mode) in files.items():
            _add(tar, path, tarfile.REGTYPE, mode, content)
    return made.getvalue()


def _add(
    tar: tarfile.TarFile, name: str, kind: bytes, mode: int, content: bytes = b"", link: str = ""
) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size, entry.linkname = kind, mode, len(content), link
    tar.addfile(entry, io.BytesIO(content))


@functools.cache
def _program() -> bytes:
    with open(BUSYBOX, "rb") as file:  # noqa: PTH123
        return file.read()


@functools.cache
def _applets() -> tuple[str, ...]:
    listed = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True)
    return tuple(name for name in listed.stdout.split() if name != "busybox")
