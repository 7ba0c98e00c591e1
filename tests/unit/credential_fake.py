"""Files of a made-up home, looked at by the real scripts of the sweeps on this machine."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from hullcheck.facts.credentials.git import Setting, more_want, read_git
from hullcheck.facts.credentials.sweep import Swept, extra_want, swept
from hullcheck.transport import Answer, Evidence, Want

SHELLS: Sequence[Sequence[str]] = (("dash",), ("busybox", "sh"))


def written(home: Path, files: Mapping[str, str | bytes]) -> Path:
    for name, text in files.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return home


def answered(asked: Want, shell: Sequence[str]) -> Answer:
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    done = subprocess.run(
        list(shell), input=asked.command.encode(), capture_output=True, timeout=20, check=False,
        env=environment,
    )  # fmt: skip
    return Answer(asked, Evidence(asked.command, done.returncode, done.stdout, done.stderr))


def sweep_of(home: Path, shell: Sequence[str] = SHELLS[0]) -> Swept:
    return swept(answered(extra_want((str(home),), ()), shell))


def git_of(path: Path, shell: Sequence[str] = SHELLS[0]) -> list[Setting]:
    found = read_git(answered(more_want((str(path),)), shell)).files[str(path)]
    if not isinstance(found, list):
        raise found
    return found
