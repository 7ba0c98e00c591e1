"""Build controllers and agents on real hosts: one as it should be, one with every fault.

The programs are stand-ins under the right names, as different users, with files in the real form.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import Evidence, session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from hullcheck.verdict import Verdict
from tests.live.hosts.overlay import OverlayHost, wait_until
from tests.recordings.parts.build_controllers import SECRET, builder_rotten, builder_sound

pytestmark = pytest.mark.live

CONTROLS = (
    "agent-unprivileged", "agent-groups", "agent-program", "jenkins-keys", "jenkins-access",
    "jenkins-executors", "jenkins-agents", "jenkins-pages", "jenkins-http", "jenkins-secrets",
    "runner-credentials", "runner-ephemeral", "runner-steering", "buildkite-limits",
    "buildkite-ephemeral", "buildkite-files", "checkout-credentials", "old-checkouts",
    "build-host-apart", "metadata-service", "job-egress",
)  # fmt: skip
POLICY = Policy(maximum_checkout_age=96, job_egress=False)


def audit(host: OverlayHost, user: str = "root") -> tuple[dict[str, Verdict], list[Evidence]]:
    """Judge all of them over the host's own sshd."""
    spec = parse_spec(f"paramiko://{user}@{host.name}")
    there = connect(replace(spec, ssh_config=host.ssh_config))
    wanted = [all_controls()[f"build.{name}"] for name in CONTROLS]
    try:
        site = Site(host.name, POLICY)
        gather(wanted, there, site)
        found = {each.id[6:]: judge(each, there, site) for each in wanted}
        return found, session_of(there).recording
    finally:
        session_of(there).close()


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[OverlayHost, OverlayHost]]:
    with OverlayHost("buildok") as sound, OverlayHost("buildbad") as rotten:
        for host, lay in ((sound, builder_sound), (rotten, builder_rotten)):
            lay(host)
            host.write("/run/cloud-init/cloud-id", "aws\n")
            wait_until(partial(_run, host), "agents")
        yield sound, rotten


def _run(host: OverlayHost) -> bool:
    """Whether the agents have begun, and Jenkins listens."""
    names = "grep -lsE '^(java|(Runner|Agent).Listener|buildkite-agent)' /proc/[0-9]*/comm"
    said = host.run(f"{names}; grep -E ':(46A0|6DB0) ' /proc/net/tcp; true").stdout
    return said.count("/proc/") >= 3 and (":46A0" if host.name == "buildok" else ":6DB0") in said


def test_every_control_flips_and_nothing_is_written_or_told(
    hosts: tuple[OverlayHost, OverlayHost],
) -> None:
    sound, rotten = hosts
    before = sound.mark()
    good, recorded = audit(sound)
    assert sound.written(before) == []
    # This machine's network is everybody's: no rule can be added for one host.
    open_ = ("job-egress", "metadata-service")
    said = {name: str(each.status) for name, each in good.items()}
    assert said == {name: "fail" if name in open_ else "pass" for name in CONTROLS}
    bad, more = audit(rotten)
    said = {name: str(each.status) for name, each in bad.items()}
    assert said == dict.fromkeys(CONTROLS, "fail")
    for each in (*recorded, *more):
        assert SECRET.encode() not in each.stdout + each.stderr, each.command


def test_repaired_in_place(hosts: tuple[OverlayHost, OverlayHost]) -> None:
    """What an administrator changes without a new start is seen at once."""
    _, rotten = hosts
    rotten.run(
        "chmod 700 /srv/ci/jenkins; chmod 600 /home/azp/agent/.credentials*;"
        " rm -r /opt/actions-runner/_work/app /etc/kubernetes; gpasswd -d azp docker;"
        " chown -R root: /etc/buildkite-agent/hooks; rm /opt/actions-runner/.env"
    )
    found, _ = audit(rotten)
    repaired = ("jenkins-keys", "runner-credentials", "checkout-credentials", "old-checkouts",
                "build-host-apart", "buildkite-files", "runner-steering")  # fmt: skip
    assert {name: str(found[name].status) for name in repaired} == dict.fromkeys(repaired, "pass")
    # The process keeps the group that its user has lost.
    assert str(found["agent-groups"].status) == "fail"


def test_what_an_ordinary_user_can_tell(hosts: tuple[OverlayHost, OverlayHost]) -> None:
    sound, _ = hosts
    sound.add_user("auditor")
    found, _ = audit(sound, "auditor")
    said = {name: str(each.status) for name, each in found.items()}
    assert {said[name] for name in ("agent-unprivileged", "agent-groups")} == {"pass"}
    for name in ("jenkins-access", "jenkins-secrets", "buildkite-files", "build-host-apart"):
        assert said[name] == "unknown"
        assert "root" in found[name].reason, (name, found[name].reason)
