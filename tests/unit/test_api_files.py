"""Which files an API server was told to use, and its ports."""

from __future__ import annotations

import pytest

from checks.orchestrator import test_api_server as serving
from hullcheck.facts.kubernetes.api_files import CONFIG, LOG, SECRET
from hullcheck.facts.registry import Unseen, get
from hullcheck.facts.sockets import EVERYWHERE, HOLDERS, MACHINE
from tests.unit.api_server_fake import says, server

CHAIN = (
    "kind: AuthorizationConfiguration\nauthorizers: [{type: Webhook, webhook: {connectionInfo: "
    "{kubeConfigFile: hook.conf}}}]\n"
)


def files_of(*words, files=None):
    return get(server(*words, files=files), "api_server_file")


def test_files_of_flags():
    found = files_of(
        "--audit-policy-file=rel/policy.yaml", "--audit-log-path=/var/log/a.log",
        "--encryption_provider_config=/etc/../e.yaml", "--token-auth-file=",
        "--etcd-keyfile=/etc/kubernetes/pki/etcd.key", "--tls-private-key-file=/srv/tls.key",
    )  # fmt: skip
    assert {each.path: each.what for each in found} == {
        "/e.yaml": SECRET, "/srv/rel/policy.yaml": CONFIG, "/var/log/a.log": LOG,
        "/srv/tls.key": SECRET,
    }  # fmt: skip
    assert files_of("--audit-log-path=-") == []


def test_files_of_files():
    word = "--authorization-config=/k/f"
    found = files_of(word, files={"/k/f": CHAIN})
    assert {each.path: each.what for each in found} == {"/k/f": CONFIG, "/srv/hook.conf": SECRET}
    # What cannot be read may name others.
    denied = (1, "", "head: cannot open '/k/f' for reading: Permission denied\n")
    found = files_of(word, files={"/k/f": denied})
    assert [isinstance(each, Unseen) for each in found] == [False, True]


LINE = "/proc/70/net/tcp:   {0}: {1}:{2:04X} 00000000:0000 0A 0:0 00:0 0 0 0 {3} 1 0 100 0 0 10 0\n"
NONE = "/proc/70/net/unix:Num RefCount\n/proc/70/net/tcp:  sl  local_address\n"


def ports(*found: int, held: str = "70") -> dict[str, str]:
    lines = "".join(LINE.format(at, "0100007F", port, 900 + at) for at, port in enumerate(found))
    holders = "".join(f"{held} {900 + at}\n" for at in range(len(found)))
    return {
        EVERYWHERE.command: f"ns 4026531835 1\nns 4026531835 70\n{NONE}{lines}",
        HOLDERS.command: f"1 seen\n70 seen\n{holders}",
        MACHINE.command: "x86_64\n",
    }


@pytest.mark.parametrize(
    ("words", "sockets", "status"),
    [
        ((), ports(6443), "pass"),
        (("--secure-port=443",), ports(443), "pass"),
        (("--insecure-port=0",), ports(6443), "pass"),
        # It listens although it was told not to.
        (("--insecure-port=0",), ports(6443, 8080), "fail"),
        (("--insecure-port=8080",), ports(6443), "fail"),
        ((), ports(443), "fail"),
        ((), ports(6443, held="99"), "unknown"),
        ((), {}, "unknown"),
    ],
)  # fmt: skip
def test_ports(words, sockets, status):
    assert says(serving.test_api_listeners, *words, **sockets) == status
