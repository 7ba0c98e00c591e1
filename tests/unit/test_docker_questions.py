"""What a daemon is asked with, run for real with a curl and a client that are scripts."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

import pytest

from hullcheck.facts.docker.api import Api, probe_want, version_want

ADDRESS = "unix:///run/d.sock"
ID = "ab" * 32
LISTING = f'[{{"Id":"{ID}","Labels":{{"Id":"x"}}}}]'
PRETTY = f'[ {{ "Id": "{ID}" }} ]'


def run(command: str, folder: Path, curl: str | None, docker: str | None) -> tuple[int, str]:
    """Run a command where there are a curl and a client of this text, and little else."""
    for name, text in (("curl", curl), ("docker", docker)):
        if text is not None:
            (folder / name).write_text(f"#!/bin/sh\n{text}\n")
            (folder / name).chmod(0o755)
    for name in ("tr", "sed", "timeout"):
        (folder / name).symlink_to(f"/usr/bin/{name}")
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        env={"PATH": str(folder)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout


def says(text: str) -> str:
    return f"printf '%s\\n' {shlex.quote(text)}"


CLIENT = f'case "$*" in *inspect*) echo "client: $*";; *) echo {ID[::-1]};; esac'


@pytest.mark.parametrize(
    ("curl", "expected"),
    [
        (says(LISTING), [ID]),
        (says("[]"), None),
        (None, [ID[::-1]]),
        ("exit 7", [ID[::-1]]),
        (f"{says(LISTING)}; exit 28", [ID[::-1]]),
        (says(PRETTY), [ID[::-1]]),
        (says("nonsense"), [ID[::-1]]),
        ("true", [ID[::-1]]),
    ],
)
def test_the_ids_of_a_listing(tmp_path: Path, curl: str | None, expected: list[str] | None) -> None:
    """curl finds them or, where it is sure, none; else the client is asked. It inspects them."""
    api = Api(None, ADDRESS, True)
    for number, asked in enumerate((api.containers_want(), api.images_want())):
        folder = tmp_path / str(number)
        folder.mkdir()
        code, said = run(asked.command, folder, curl, CLIENT)
        assert code == 0
        if expected is None:
            assert json.loads(said) == []
        else:
            assert "client:" in said and set(expected) == set(said.split()) & {ID, ID[::-1], "x"}


def test_curl_answers_and_the_client_says_why_not(tmp_path: Path) -> None:
    denied = "echo denied; exit 1"
    for number, asked in enumerate((
        version_want(ADDRESS), probe_want(ADDRESS),
        Api(None, ADDRESS, True).wants()[2],
    )):  # fmt: skip
        for curl, docker, expected in (
            (says("by curl"), "echo by client", "by curl"),
            ("exit 7", "echo by client", "by client"),
            (None, "echo by client", "by client"),
            ("exit 7", denied, "denied"),
        ):
            folder = tmp_path / f"{number}{curl}{docker}".replace("/", "_")
            folder.mkdir()
            code, said = run(asked.command, folder, curl, docker)
            if number == 2 and docker == denied:
                assert (code, said) == (1, "")
            else:
                assert said.split("\n")[0].endswith(expected)
                assert code == (1 if docker == denied and curl == "exit 7" else 0)
    tcp = version_want("tcp://127.0.0.1:2376").command
    assert "curl" not in tcp
