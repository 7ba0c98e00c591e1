"""Controls of kubelets and kube-proxies, and where kube-bench is wrong about them."""

from __future__ import annotations

import pytest

from checks.orchestrator import test_kubelet_access as access
from checks.orchestrator import test_kubelet_files as files
from checks.orchestrator import test_kubelet_pods as pods
from checks.orchestrator import test_kubelet_tls as tls
from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts import get
from hullcheck.facts.kubernetes.kubelet_places import SWEEP
from hullcheck.facts.kubernetes.proxy_settings import address_of
from tests.unit.fake import host_with
from tests.unit.kubelet_fake import kubelet_host, says
from tests.unit.test_kubernetes_components import node

FILE = {"/k.yaml": "kind: KubeletConfiguration"}
DROPS = {**FILE, "/d/50.conf": "authentication: {anonymous: {enabled: true}}"}
GCM = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"


@pytest.mark.parametrize(
    ("control", "words", "text", "verdict"),
    [
        # An absent key is the default that applies: kube-bench fails 4.2.1 and 4.2.2.
        (access.test_kubelet_anonymous, ["--config=/k.yaml"], "", "pass"),
        (access.test_kubelet_authorization, ["--config=/k.yaml"], "", "pass"),
        (access.test_kubelet_anonymous, [], None, "fail"),
        (access.test_kubelet_authorization, [], None, "fail"),
        (access.test_kubelet_anonymous, ["--anonymous_auth=false"], None, "pass"),
        (access.test_kubelet_anonymous, ["--anonymous-auth=false", "--anonymous-auth"], None,
         "fail"),
        (access.test_kubelet_authorization, ["--config=/k.yaml"],
         "# authorization: {mode: AlwaysAllow}", "pass"),
        (access.test_kubelet_authorization, ["--config=/k.yaml"],
         '{"authorization": {"mode": "AlwaysAllow"}}', "fail"),
        (access.test_kubelet_manifest_url, ["--manifest-url=http://x/"], None, "fail"),
        (access.test_kubelet_client_authority, ["--client-ca-file=/ca"], None, "pass"),
        (access.test_kubelet_host_logs, ["--enable-debugging-handlers=false"], None, "pass"),
        (pods.test_kubelet_stream_timeout, ["--streaming-connection-idle-timeout=0s"], None,
         "fail"),
        (pods.test_kubelet_stream_timeout, ["--config=/k.yaml"],
         "streamingConnectionIdleTimeout: 0s", "pass"),
        (pods.test_kubelet_pid_limit, ["--config=/k.yaml"], "podPidsLimit: 100", "pass"),
        (pods.test_kubelet_pid_limit, ["--config=/k.yaml"], "podPidsLimit: many", "unknown"),
        (pods.test_kubelet_seccomp_default, ["--seccomp-default"], None, "pass"),
        (pods.test_kubelet_eviction, ["--eviction-hard=nodefs.available<5%"], None, "fail"),
        (pods.test_kubelet_eviction, ["--config=/k.yaml"],
         "evictionHard: {pid.available: 5%}\nmergeDefaultEvictionSettings: true", "pass"),
        (pods.test_kubelet_disk_limits, ["--image-gc-high-threshold=100"], None, "fail"),
        (tls.test_kubelet_ciphers, ["--tls-min-version=VersionTLS13"], None, "pass"),
        (tls.test_kubelet_ciphers, ["--tls-min-version=VersionTLS10",
                                    f"--tls-cipher-suites={GCM}"], None, "fail"),
        (tls.test_kubelet_ciphers, [f"--tls-cipher-suites={GCM}"], None, "pass"),
        (tls.test_kubelet_ciphers, [f"--tls-cipher-suites={GCM},TLS_RSA_WITH_AES_128_GCM_SHA256"],
         None, "fail"),
        (tls.test_kubelet_client_rotation, ["--kubeconfig=/var/lib/rancher/rke2/agent/k"], None,
         "not-applicable"),
        (tls.test_kubelet_serving_rotation, ["--tls-cert-file=/c"], None, "not-applicable"),
        (tls.test_kubelet_serving_rotation,
         ["--rotate-server-certificates", "--feature-gates=RotateKubeletServerCertificate=false"],
         None, "fail"),
    ],
)  # fmt: skip
def test_values(control, words, text, verdict):
    told = None if text is None else {"/k.yaml": text}
    assert says(control, kubelet_host(*words, files=told)) == verdict


def test_drop_ins_count():
    """kube-bench #1973."""
    host = kubelet_host("--config=/k.yaml", "--config-dir=/d", files=DROPS)
    assert says(access.test_kubelet_anonymous, host) == "fail"


def test_the_file_in_use_counts():
    """kube-bench #1242, #1256, #1364, #948, #852: not one in a usual place, also if relative."""
    other = {
        "/srv/my.yaml": "authorization: {mode: AlwaysAllow}",
        "/var/lib/kubelet/config.yaml": "",
    }
    host = kubelet_host("--config", "my.yaml", files=other)
    assert says(access.test_kubelet_authorization, host) == "fail"


def test_a_file_that_is_gone_is_no_fail():
    """kube-bench #160, #940."""
    assert says(access.test_kubelet_anonymous, kubelet_host("--config=/k.yaml")) == "unknown"


def test_what_was_changed_since():
    host = kubelet_host("--config=/k.yaml", files=FILE, changed=["/k.yaml"])
    assert says(access.test_kubelet_anonymous, host) == "unknown"
    assert says(files.test_kubelet_restarted, host) == "fail"
    assert says(files.test_kubelet_restarted, kubelet_host()) == "not-applicable"


@pytest.mark.parametrize("more", [{"uid": 1000}, {}])
def test_a_word_in_a_command_line_is_no_kubelet(more):
    """kube-bench #328 and kin: any user's process whose text has the word."""
    path = "/home/bob/kubelet" if more else "/usr/bin/vi"
    host = node((path, (path, "kubelet", "--config=/k.yaml"), more))
    assert says(access.test_kubelet_anonymous, host) == "not-applicable"


def proxy(*words, text=None):
    told = {} if text is None else {"head -c 1048577 -- /p.conf": text}
    return node(("/usr/bin/kube-proxy", ("kube-proxy", *words), {}), **told)


@pytest.mark.parametrize(
    ("words", "text", "metrics"),
    [
        ([], None, ("127.0.0.1", 10249)),
        (["--metrics-bind-address=[::]:1"], None, ("::", 1)),
        (["--metrics-bind-address="], None, None),
        (["--metrics-port=0", "--metrics-bind-address=0.0.0.0"], None, None),
        (["--metrics-port=7", "--metrics-bind-address=0.0.0.0"], None, ("0.0.0.0", 7)),
        (["--config=/p.conf", "--metrics-bind-address=0.0.0.0"], 'metricsBindAddress: ""',
         ("127.0.0.1", 10249)),
        (["--config=/p.conf"], "bindAddress: '::'", ("::1", 10249)),
        (["--config=/p.conf", "--metrics-bind-address=127.0.0.1"], "metricsBindAddress: 0.0.0.0:9",
         ("0.0.0.0", 9)),
    ],
)  # fmt: skip
def test_proxy_metrics(words, text, metrics):
    [found] = get(proxy(*words, text=text), "proxy_settings")
    assert found.metrics == metrics


def test_proxy_profiling():
    assert says(access.test_proxy_profiling, proxy("--profiling")) == "fail"
    host = proxy("--config=/p.conf", "--profiling", text="enableProfiling: false")
    assert says(access.test_proxy_profiling, host) == "pass"
    assert says(access.test_proxy_profiling, proxy("--metrics-port=0")) == "not-applicable"


@pytest.mark.parametrize("text", ["what", "1.2.3", "a:b:c", ":x"])
def test_no_address(text):
    with pytest.raises(Unknown):
        address_of(text, 1)


ABSENT = "stat: cannot statx '/x': No such file or directory\n"


@pytest.mark.parametrize(
    ("out", "err", "verdict"),
    [
        ("= end\n", ABSENT, "not-applicable"),
        ("f /etc/kubernetes/kubelet.conf\n= end\n", ABSENT, "pass"),
        ("f /etc/kubernetes/bootstrap-kubelet.conf\n= end\n", ABSENT, "pass"),
        ("f /etc/kubernetes/kubelet.conf\nf /etc/kubernetes/bootstrap-kubelet.conf\n= end\n",
         ABSENT, "fail"),
        ("t /root/join.sh\n= end\n", ABSENT, "fail"),
        ("? /root/join.sh\n= end\n", ABSENT, "unknown"),
        ("= end\n", "find: '/root': Permission denied\n", "unknown"),
        ("t /root/join.sh\n= end\n", "find: '/x': Permission denied\n", "fail"),
        ("= end\n", "", "unknown"),
        ("f /etc/kubernetes/kubelet.conf\n", ABSENT, "unknown"),
        ("nonsense\n= end\n", ABSENT, "unknown"),
    ],
)  # fmt: skip
def test_leftovers(out, err, verdict):
    host = host_with({SWEEP.command: (0, out, err)})
    assert says(files.test_kubelet_leftovers, host) == verdict


def test_no_kubelet():
    host = node()
    for name in ("kubelet_settings", "proxy_settings"):
        with pytest.raises(NotApplicable):
            get(host, name)
