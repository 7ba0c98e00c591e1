"""What was written on a host: the overlay's upper directory and its tmpfs, compared over time."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

Fingerprint = tuple[object, ...]
Mark = dict[str, Fingerprint]

# What sshd, PAM, logind and sudo keep of every login, whatever is then run.
LOGIN_RECORDS = re.compile(
    r"""/var/log/(wtmp|btmp|lastlog|auth\.log|journal(/.*)?)$
    | /run/(utmp|motd\.dynamic.*|faillock(/.*)?)$
    | /run/(log/journal|systemd/(sessions|users|journal|inaccessible|transient|units)|user)(/.*)?$
    | /run/dbus(/.*)?$
    """,
    re.VERBOSE,
)


def mark(roots: dict[str, Path]) -> Mark:
    """Return the state of everything below these directories, as {path on the host: stat}."""
    return {path: state for prefix, root in roots.items() for path, state in _walk(prefix, root)}


def changed(before: Mark, after: Mark, *, logins: bool = False) -> list[str]:
    """Return the paths made, changed or removed in between, without a login's own records.

    A directory alone counts only when nothing below it explains its change.
    """
    paths = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    explained = {
        str(Path(path).parent) for path in paths if path not in after or path not in before
    }
    return sorted(
        path
        for path in paths - (explained & after.keys() & before.keys())
        if logins or not LOGIN_RECORDS.match(path)
    )


def _walk(prefix: str, root: Path) -> Iterator[tuple[str, Fingerprint]]:
    waiting = [(prefix, str(root))]
    while waiting:
        shown, here = waiting.pop()
        try:
            entries = list(os.scandir(here))
        except FileNotFoundError:
            continue
        for entry in entries:
            path = f"{shown}/{entry.name}"
            try:
                print_of = _fingerprint(entry.path, entry.stat(follow_symlinks=False))
            except FileNotFoundError:
                continue
            yield path, print_of
            if entry.is_dir(follow_symlinks=False):
                waiting.append((path, entry.path))


def _fingerprint(path: str, state: os.stat_result) -> Fingerprint:
    """Return what a write changes, without what overlayfs does for itself: all its whiteouts are
    links of one inode, and reading a directory may drop a mark of its own from it."""
    if stat.S_ISCHR(state.st_mode) and state.st_rdev == 0:
        return ("removed",)
    owner = (state.st_ino, state.st_mode, state.st_uid, state.st_gid, state.st_rdev)
    if not stat.S_ISDIR(state.st_mode):
        return (*owner, state.st_size, state.st_mtime_ns, state.st_ctime_ns)
    names = [
        name
        for name in os.listxattr(path, follow_symlinks=False)
        if not name.startswith("trusted.overlay.")
    ]
    return (*owner, state.st_mtime_ns, *((name, os.getxattr(path, name)) for name in sorted(names)))
