"""What an etcd is set to, and the controls of it."""

from __future__ import annotations

import pytest

from checks.orchestrator import test_etcd
from hullcheck.control import Unknown
from hullcheck.facts import get
from hullcheck.facts.kubernetes.etcd_settings import environ_want, settings_of
from tests.unit.judged import outcome
from tests.unit.test_kubernetes_components import node
from tests.unit.test_kubernetes_control_plane import file_of, listens

TLS = ("--cert-file=/pki/server.crt", "--key-file=/pki/server.key",
       "--listen-client-urls=https://127.0.0.1:2379,https://10.0.0.10:2379")  # fmt: skip
PEERS = ("--peer-cert-file=/pki/peer.crt", "--peer-key-file=/pki/peer.key",
         "--listen-peer-urls=https://10.0.0.10:2380")  # fmt: skip
# As k3s writes it; the second as etcd.conf.yml.sample has it, with YAML 1.1's words.
K3S = """advertise-client-urls: https://10.0.0.10:2379
client-transport-security:
  cert-file: /tls/server-client.crt
  client-cert-auth: true
  key-file: /tls/server-client.key
  trusted-ca-file: /tls/server-ca.crt
data-dir: /var/lib/rancher/k3s/server/db/etcd
listen-client-http-urls: https://127.0.0.1:2382
listen-client-urls: https://10.0.0.10:2379,https://127.0.0.1:2379
listen-metrics-urls: http://127.0.0.1:2381
listen-peer-urls: https://10.0.0.10:2380
peer-transport-security: {cert-file: /tls/p.crt, client-cert-auth: yes, key-file: /tls/p.key,
  trusted-ca-file: /tls/peer-ca.crt}
"""


def etcd(*flags, variables="", files=None, text="", **more):
    answers = {environ_want(70).command: variables + "= end\n"} | more
    if text:
        answers |= file_of("/etc/etcd.yml", text)
    host = node(("/usr/local/bin/etcd", ("etcd", *flags), {}), **answers)
    [found] = get(host, "etcd")
    return found


def said(control, *flags, **more):
    return outcome(control, etcd(*flags, **more))


@pytest.mark.parametrize(
    ("flags", "more", "status"),
    [
        (TLS, {}, "pass"),
        ((), {}, "fail"),  # http://localhost:2379
        (TLS[:2], {}, "fail"),  # a certificate, and the default address in the clear
        ((*TLS, "--auto-tls"), {}, "pass"),  # ignored, since there is a certificate
        (("--auto-tls", TLS[2]), {}, "fail"),
        ((*TLS, "--listen-client-http-urls=http://127.0.0.1:2382"), {}, "fail"),
        (TLS, {"variables": "ETCD_LISTEN_CLIENT_URLS=http://0.0.0.0:1\n"}, "pass"),  # flag wins
        (TLS[:2], {"variables": f"ETCD_LISTEN_CLIENT_URLS={TLS[2].partition('=')[2]}\n"}, "pass"),
        (TLS, {"variables": "ETCD_CERT_FILE=\n"}, "pass"),
        (("--config-file=/etc/etcd.yml",), {"text": K3S}, "pass"),
        # With a file, other flags do not count, however they look.
        ((*TLS, "--config-file=/etc/etcd.yml"), {"text": "name: x\n"}, "fail"),
        (TLS, {"variables": "ETCD_CONFIG_FILE=/etc/etcd.yml\n", "text": "name: x\n"}, "fail"),
        ((), {"variables": "ETCD_CONFIG_FILE=/etc/etcd.yml\n", "text": K3S}, "pass"),
        (("--config-file=/etc/etcd.yml",), {"text": K3S.replace("https", "http", 5)}, "fail"),
    ],
)  # fmt: skip
def test_client_tls(flags, more, status):
    assert said(test_etcd.test_etcd_client_tls, *flags, **more) == status


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        (("--client-cert-auth=true", "--trusted-ca-file=/ca"), "pass"),
        (("-client-cert-auth", "-trusted-ca-file", "/ca"), "pass"),
        # etcd demands a certificate as soon as it has an authority; kube-bench 2.2 fails this.
        (("--trusted-ca-file=/ca",), "pass"),
        (("--client-cert-auth=false", "--trusted-ca-file=/ca"), "pass"),
        # Any certificate of a public authority would do; kube-bench 2.2 passes this.
        (("--client-cert-auth",), "fail"),
        ((), "fail"),
        (("--client-cert-auth=perhaps",), "unknown"),
    ],
)
def test_client_authentication(flags, status):
    assert said(test_etcd.test_etcd_client_authentication, *flags) == status
    peers = [each.replace("-client", "-peer-client").replace("-trusted", "-peer-trusted")
             for each in flags]  # fmt: skip
    assert said(test_etcd.test_etcd_peer_authentication, *peers) == status


# As etcd's own sample leaves it.
SAMPLE = """name: 'default'
data-dir:
listen-client-urls: http://localhost:2379
enable-pprof: true
client-transport-security:
  cert-file:
  client-cert-auth: false
  trusted-ca-file:
  auto-tls: false
cipher-suites: [
  TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256
]
"""


def test_file_of_etcd():
    settings = settings_of(etcd("--config-file=/etc/etcd.yml", text=SAMPLE))
    assert settings.data == "default.etcd" and settings.flag("enable-pprof")
    assert settings.text("cert-file") == "" and not settings.flag("client-cert-auth")
    assert [each.local for each in settings.urls("listen-client-urls")] == [True]


def test_file_of_k3s():
    settings = settings_of(etcd("--config-file=/etc/etcd.yml", text=K3S))
    assert settings.flag("peer-client-cert-auth") and settings.config == "/etc/etcd.yml"
    assert settings.data == "/var/lib/rancher/k3s/server/db/etcd"
    assert [str(each) for each in settings.urls("listen-metrics-urls")] == ["http://127.0.0.1:2381"]
    for name in ("client_authentication", "peer_tls", "peer_authentication", "profiling"):
        control = getattr(test_etcd, f"test_etcd_{name}")
        assert said(control, "--config-file=/etc/etcd.yml", text=K3S) == "pass"


@pytest.mark.parametrize(
    ("flags", "status"),
    [(PEERS, "pass"), (("--peer-auto-tls", PEERS[2]), "fail"), (PEERS[:2], "fail"), ((), "fail")],
)
def test_peer_tls(flags, status):
    assert said(test_etcd.test_etcd_peer_tls, *flags) == status


def test_profiling():
    assert said(test_etcd.test_etcd_profiling) == "pass"
    assert said(test_etcd.test_etcd_profiling, "--enable-pprof") == "fail"
    assert said(test_etcd.test_etcd_profiling, variables="ETCD_ENABLE_PPROF=true\n") == "fail"


KERNEL = {"own": "0A00000A", "any": "00000000", "local": "0100007F"}


@pytest.mark.parametrize(
    ("flags", "place", "status"),
    [
        (("--listen-metrics-urls=http://127.0.0.1:2381",), "own", "pass"),
        (("--listen-metrics-urls=https://10.0.0.10:2381",), "own", "pass"),
        (("--listen-client-urls=unixs:///run/etcd:0",), "local", "pass"),
        (("--listen-client-urls=https://0.0.0.0:2379",), "own", "fail"),
        (("--listen-peer-urls=https://[::]:2380",), "own", "fail"),
        (("--listen-metrics-urls=http://10.0.0.10:2381",), "own", "fail"),
        ((), "any", "fail"),
    ],
)
def test_addresses(flags, place, status):
    told = listens(KERNEL[place], 2379)
    given = (*TLS[2:], *PEERS[2:], *flags)
    assert said(test_etcd.test_etcd_addresses, *given, **told) == status


@pytest.mark.parametrize("url", ["https://node1:2379", "https://[::1", "https://1.1.1.1:99999"])
def test_addresses_that_are_none(url):
    assert said(test_etcd.test_etcd_addresses, f"--listen-client-urls={url}") == "unknown"


def test_law_one():
    denied = (0, "= end\n", "sh: 1: cannot open /proc/70/environ: Permission denied\n")
    host = {environ_want(70).command: denied}
    with pytest.raises(Unknown, match="root"):
        settings_of(etcd(*TLS, **host))
    for damaged in ("", "ETCD_NAME=x\n"):
        spoilt = {environ_want(70).command: damaged}
        assert said(test_etcd.test_etcd_client_tls, *TLS, **spoilt) == "unknown"
    absent = file_of("/etc/etcd.yml", (1, "", "head: x: No such file or directory\n"))
    with pytest.raises(Unknown, match="gone"):
        settings_of(etcd("--config-file=/etc/etcd.yml", **absent))
    with pytest.raises(Unknown, match="line 1"):
        settings_of(etcd("--config-file=/etc/etcd.yml", text="{" * 5000))
    with pytest.raises(Unknown, match="gateway"):
        settings_of(etcd("gateway", "start"))


def test_only_settings_leave_the_host():
    command = environ_want(7).command
    assert "PASSWORD" not in command and "DISCOVERY" not in command
