"""An API server on a real host: all faults, none, and one that sees other files than the host."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace

import pytest

from checks.orchestrator import (
    test_api_admission,
    test_api_audit,
    test_api_authentication,
    test_api_authorization,
    test_api_files,
    test_api_server,
    test_api_storage,
    test_api_tokens,
)
from hullcheck.control import Control, control_of
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from tests.live.hosts.overlay import OverlayHost
from tests.recordings.parts import kube_apiserver as parts

pytestmark = pytest.mark.live

MODULES = (
    test_api_admission, test_api_audit, test_api_authentication, test_api_authorization,
    test_api_files, test_api_server, test_api_storage, test_api_tokens,
)  # fmt: skip
CONTROLS = [
    found for module in MODULES for each in vars(module).values() if (found := control_of(each))
]
BY_FLAGS = (
    test_api_server.test_api_profiling, test_api_server.test_api_ciphers,
    test_api_admission.test_api_node_restriction, test_api_tokens.test_service_account_keys,
    test_api_authentication.test_api_static_tokens,
)  # fmt: skip


@pytest.fixture(scope="module")
def made() -> Iterator[OverlayHost]:
    """A host of this module's own: programs run on it until it ends."""
    with OverlayHost("hostapi") as host:
        host.add_user("auditor")
        yield host


def audited(
    host: OverlayHost, *controls: Control, user: str = "root"
) -> tuple[dict[str, str], bytes]:
    """Return what controls say, by their names, and all that came back of the host."""
    target = replace(parse_spec(f"paramiko://{user}@{host.name}"), ssh_config=host.ssh_config)
    there = connect(target)
    session = session_of(there)
    try:
        meant = list(controls or CONTROLS)
        before = host.mark()
        gather(meant, there, Site(host.name))
        found = {
            each.id.removeprefix("orchestrator."): str(judge(each, there, Site(host.name)).status)
            for each in meant
        }
        assert session.late == 0
        assert host.written(before) == []
        return found, b"".join(each.stdout + each.stderr for each in session.recording)
    finally:
        session.close()


def stop(host: OverlayHost) -> None:
    host.run("kill $(pidof kube-apiserver)")


def test_everything_flips(made: OverlayHost) -> None:
    assert set(audited(made, *CONTROLS[:1])[0].values()) == {"not-applicable"}
    parts.kubeadm_rotten(made)
    bad, told = audited(made)
    assert {name: each for name, each in bad.items() if each != "fail"} == {}
    stop(made)
    made.run("rm -r /etc/kubernetes /var/log/audit-open")
    parts.kubeadm_sound(made)
    good, more = audited(made)
    assert {name: each for name, each in good.items() if each != "pass"} == {}
    assert [each for each in parts.SECRETS if each.encode() in told + more] == []
    # Flags are everybody's to see; the files of a program of root's are not.
    meant = [found for each in BY_FLAGS if (found := control_of(each))]
    hidden = control_of(test_api_storage.test_secrets_encrypted)
    assert hidden
    plain, _ = audited(made, *meant, hidden, user="auditor")
    assert plain.pop("secrets-encrypted") == "unknown"
    assert set(plain.values()) == {"pass"}
    stop(made)


def test_what_the_process_sees_counts(made: OverlayHost) -> None:
    """In a pod the same path is another file: kube-bench reads the host's."""
    parts.sound_files(made)
    for name, text in parts.SOUND.items():
        made.write(f"/srv/closed/pod/{name}", text, 0o644)
    made.write("/srv/closed/pod/encryption.yaml", parts.ROTTEN["encryption.yaml"], 0o644)
    made.run("chmod 700 /srv/closed")
    words = shlex.join(parts.SOUND_WORDS)
    made.run(
        "unshare -m bash -c 'mount --bind /srv/closed/pod /etc/kubernetes && "
        f"cd / && exec {parts.PATH} {words}' </dev/null >/dev/null 2>&1 &"
        " until pidof kube-apiserver >/dev/null; do sleep 0.01; done"
    )
    names = ("secrets-encrypted", "api-secret-files", "api-anonymous")
    meant = [each for each in CONTROLS if each.id.removeprefix("orchestrator.") in names]
    found, _ = audited(made, *meant)
    # What everybody could read lies where nobody gets to.
    assert found == dict.fromkeys(names, "pass") | {"secrets-encrypted": "fail"}
    made.run("chmod 755 /srv/closed")
    assert audited(made, *meant)[0]["api-secret-files"] == "fail"
    stop(made)
