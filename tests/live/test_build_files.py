"""Build files on a live host: each control flips, secrets stay, nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.redact import Redactor
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Verdict
from tests.live.hosts.overlay import OverlayHost
from tests.recordings.parts.build_files import ROTTEN, SOUND, lay

pytestmark = pytest.mark.live

ROOT = "/srv/hc-build"
OURS = ("dockerfile-", "compose-", "pipeline-", "build-context", "lock-files")
CONTROLS = [each for key, each in all_controls().items()
            if key.partition(".")[2].startswith(OURS)]  # fmt: skip
POLICY = Policy(
    build_directories=(ROOT,), registries=("registry.example", "docker.io/library"),
)  # fmt: skip


def audit(
    host: OverlayHost, policy: Policy = POLICY, user: str = "root"
) -> tuple[dict[str, Verdict], str]:
    """Judge all controls of build files, and return everything that the audit has kept."""
    spec = replace(parse_spec(f"paramiko://{user}@{host.name}"), ssh_config=host.ssh_config)
    there = connect(spec, redact=Redactor(b"salt"))
    try:
        site = Site(host.name, policy)
        gather(CONTROLS, there, site)
        verdicts = {each.id.partition(".")[2]: judge(each, there, site) for each in CONTROLS}
        kept = "".join(f"{each.stdout!r}{each.stderr!r}" for each in session_of(there).recording)
        return verdicts, kept + repr(verdicts)
    finally:
        session_of(there).close()


@pytest.fixture
def folder(overlay_host: OverlayHost) -> Iterator[OverlayHost]:
    yield overlay_host
    overlay_host.run(f"rm -rf {ROOT} /home/gitlab-runner/builds")


def test_each_control_flips_and_no_secret_is_kept(folder: OverlayHost) -> None:
    lay(folder, ROTTEN, ROOT)
    before = folder.mark()
    verdicts, kept = audit(folder)
    assert {each for each, verdict in verdicts.items() if str(verdict.status) != "fail"} == set()
    assert "planted" not in kept
    assert folder.written(before) == []
    folder.run(f"rm -rf {ROOT}")
    lay(folder, SOUND, ROOT)
    verdicts, _ = audit(folder)
    assert {each: verdict.reason for each, verdict in verdicts.items()
            if str(verdict.status) not in ("pass", "not-applicable")} == {}  # fmt: skip
    applied = [each for each, verdict in verdicts.items() if str(verdict.status) == "pass"]
    assert len(applied) == len(verdicts), sorted(set(verdicts) - set(applied))


def test_what_cannot_be_read_is_unknown_and_the_rest_is_judged(folder: OverlayHost) -> None:
    lay(folder, {"a/Dockerfile": "FROM debian\n", "b/Dockerfile": "FROM debian:12\n",
                 "c/Dockerfile": "FROM debian:12\n"}, ROOT)  # fmt: skip
    folder.run(f"chmod 600 {ROOT}/b/Dockerfile; chmod 700 {ROOT}/c; cd {ROOT}; mkdir d 'e:f' g;"
               " ln -s /etc/shadow d/Dockerfile; echo FROM a >'e:f/Dockerfile';"
               " head -c 600000 /dev/zero >g/Dockerfile")  # fmt: skip
    folder.add_user("builder")
    try:
        seen = {
            user: {
                each.object.name.removeprefix(ROOT): (str(each.status), each.reason)
                for each in audit(folder, user=user)[0]["dockerfile-base-version"].findings
            }
            for user in ("root", "builder")
        }
    finally:
        folder.run("userdel -f -r builder 2>/dev/null; ! id builder 2>/dev/null")
    for found in seen.values():
        assert found["/a/Dockerfile"][0] == "fail"
        assert "a link to /etc/shadow" in found["/d/Dockerfile"][1]
        assert "longer" in found["/g/Dockerfile"][1]
        assert any("colon" in why for _, why in found.values())
    assert (seen["root"]["/b/Dockerfile"][0], seen["root"]["/c/Dockerfile"][0]) == ("pass", "pass")
    assert "needs root" in seen["builder"]["/b/Dockerfile"][1]
    assert "may need root" in seen["builder"][f"(any in {ROOT}/c)"][1]


def test_the_folders_of_runners_are_found_and_a_plain_host_has_none(folder: OverlayHost) -> None:
    verdicts, _ = audit(folder, Policy())
    assert {str(each.status) for each in verdicts.values()} == {"not-applicable"}
    lay(folder, {"x/0/acme/app/Dockerfile": "FROM debian\n"}, "/home/gitlab-runner/builds")
    verdicts, _ = audit(folder, Policy())
    assert str(verdicts["dockerfile-base-version"].status) == "fail"
