"""Who may ask a kubelet for what, and where it listens."""

from __future__ import annotations

import ipaddress

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.kubelet_settings import KubeletSettings
from hullcheck.facts.kubernetes.proxy_settings import HEALTH, METRICS, ProxySettings
from hullcheck.facts.sockets import InetListener, sockets_of

from .kubelet_values import expect_setting

READ_ONLY, HEALTHZ = 10255, 10248


def _listening(component: Component, *ports: int) -> list[InetListener]:
    """Return which of some TCP ports a component's process has open, by the kernel.

    :raises Unknown: only root can see which process holds one of them.
    """
    pid = component.program.process.pid
    found = [each for each in sockets_of(component.host, pid).tcp if each.port in ports]
    return [each for each in found if pid in each.owners]


@control(
    title="The kubelet turns away whoever does not say who they are",
    severity="critical",
    fix="Set authentication.anonymous.enabled: false in the kubelet's configuration, take "
    "--anonymous-auth off its command line, and restart it.",
)
def test_kubelet_anonymous(kubelet_settings: KubeletSettings) -> None:
    """With anonymous requests on, and nobody to refuse them, whoever reaches port 10250 runs
    commands in every container of the node. Without a configuration file they are on by default."""
    expect_setting(kubelet_settings, "authentication.anonymous.enabled", equals=False)


@control(
    title="The kubelet asks the API server what each client may do",
    severity="critical",
    fix="Set authorization.mode: Webhook in the kubelet's configuration, take "
    "--authorization-mode off its command line, and restart it.",
)
def test_kubelet_authorization(kubelet_settings: KubeletSettings) -> None:
    """With AlwaysAllow every client that has any name at all, so any pod's service account, may
    read logs, run commands and forward ports in all pods of the node. Without a configuration
    file that is the default."""
    expect_setting(kubelet_settings, "authorization.mode", equals="Webhook")


@control(
    title="The kubelet knows the authority that vouches for its clients",
    severity="medium",
    fix="Set authentication.x509.clientCAFile to the cluster's CA certificate "
    "(kubeadm: /etc/kubernetes/pki/ca.crt) and restart the kubelet.",
)
def test_kubelet_client_authority(kubelet_settings: KubeletSettings) -> None:
    """The API server shows the kubelet a certificate. A kubelet without an authority to check it
    by takes the API server for nobody in particular: people then open it to everybody."""
    told = kubelet_settings.get("authentication.x509.clientCAFile")
    expect("set" if told.value else f"not set ({told.source})", one_of=["set"],
           what="authentication.x509.clientCAFile")  # fmt: skip


@control(
    title="The kubelet has no port that answers without a question",
    severity="high",
    fix="Set readOnlyPort: 0 in the kubelet's configuration, take --read-only-port off its "
    "command line, and restart it.",
)
def test_kubelet_read_only_port(kubelet_settings: KubeletSettings) -> None:
    """Over plain HTTP, to anybody, it tells every pod of the node with its environment, images and
    addresses. Without a configuration file it is port 10255; what the kernel shows counts, whatever
    the settings say."""
    told = kubelet_settings.get("readOnlyPort")
    expect_setting(kubelet_settings, "readOnlyPort", equals=0)
    ports = {READ_ONLY, told.value} if isinstance(told.value, int) else {READ_ONLY}
    found = _listening(kubelet_settings.kubelet, *ports - {0})
    expect([str(each) for each in found], equals=[], what="read-only ports that are open")


@control(
    title="The kubelet's health is told to its own node only",
    severity="low",
    fix="Set healthzBindAddress: 127.0.0.1 (or healthzPort: 0) in the kubelet's configuration and "
    "restart it.",
)
def test_kubelet_health_address(kubelet_settings: KubeletSettings) -> None:
    """The health port answers anybody, over plain HTTP: elsewhere on the network it only tells
    strangers that there is a kubelet, and gives them something to keep busy."""
    port = kubelet_settings.get("healthzPort").value
    if port == 0:
        ports = {HEALTHZ}
    else:
        told = kubelet_settings.get("healthzBindAddress")
        address = str(told.value)
        expect("local" if _local(address) else str(told), equals="local", what="healthzBindAddress")
        ports = {HEALTHZ, port} if isinstance(port, int) else {HEALTHZ}
    open_ones = [each for each in _listening(kubelet_settings.kubelet, *ports) if not each.loopback]
    expect([str(each) for each in open_ones], equals=[], what="health ports open to others")


def _local(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        raise Unknown(f"healthzBindAddress is {address[:60]!r}, which is no address") from None


@control(
    title="The kubelet offers neither profiles of itself nor its log level",
    severity="low",
    level=2,
    fix="Set enableProfilingHandler: false and enableDebugFlagsHandler: false in the kubelet's "
    "configuration and restart it.",
)
def test_kubelet_profiling(kubelet_settings: KubeletSettings) -> None:
    """Profiles show what the kubelet has in memory and cost it time; the log level decides what
    becomes of tokens in its logs. Both are there for whoever debugs the kubelet itself."""
    if kubelet_settings.get("enableDebuggingHandlers").value is False:
        return
    expect_setting(kubelet_settings, "enableProfilingHandler", equals=False)
    expect_setting(kubelet_settings, "enableDebugFlagsHandler", equals=False)


@control(
    title="The kubelet does not hand out the logs of the host",
    severity="medium",
    level=2,
    fix="Set enableSystemLogHandler: false and enableSystemLogQuery: false in the kubelet's "
    "configuration and restart it; collect the host's logs by other means.",
)
def test_kubelet_host_logs(kubelet_settings: KubeletSettings) -> None:
    """Under /logs the kubelet shows all of /var/log to whoever may read logs of nodes. A pod that
    has /var/log mounted lays a symbolic link there, and reads any file of the node as root."""
    if kubelet_settings.get("enableDebuggingHandlers").value is False:
        return
    expect_setting(kubelet_settings, "enableSystemLogHandler", equals=False)
    expect_setting(kubelet_settings, "enableSystemLogQuery", equals=False)


@control(
    title="The kubelet takes pods from no web address",
    severity="high",
    fix="Remove staticPodURL from the kubelet's configuration and --manifest-url from its command "
    "line, and restart it; lay manifests into staticPodPath.",
)
def test_kubelet_manifest_url(kubelet_settings: KubeletSettings) -> None:
    """Whatever that address answers runs on the node, as root if it says so, and past every
    admission check of the cluster. Who owns the server, or the way to it, owns the node."""
    expect_setting(kubelet_settings, "staticPodURL", equals="")


@control(
    title="kube-proxy shows its metrics to its own node only",
    severity="medium",
    fix="Set metricsBindAddress: 127.0.0.1:10249 in kube-proxy's configuration (its ConfigMap in "
    "kube-system; --metrics-bind-address where it has no --config) and restart it.",
)
def test_proxy_metrics_address(proxy_settings: ProxySettings) -> None:
    """The port asks nobody for a name. It tells all settings of kube-proxy and how traffic runs,
    and where profiling is on it lets anybody look into its memory."""
    told = proxy_settings.metrics
    ports = {METRICS}
    if told is not None:
        local = ipaddress.ip_address(told[0]).is_loopback
        expect("local" if local else told[0], equals="local", what="metricsBindAddress")
        ports.add(told[1])
    ports.discard(HEALTH)
    open_ones = [each for each in _listening(proxy_settings.proxy, *ports) if not each.loopback]
    expect([str(each) for each in open_ones], equals=[], what="metrics ports open to others")


@control(
    title="kube-proxy offers no profiles of itself",
    severity="low",
    fix="Set enableProfiling: false in kube-proxy's configuration, or take --profiling off its "
    "command line, and restart it.",
)
def test_proxy_profiling(proxy_settings: ProxySettings) -> None:
    """Beside its metrics, where nobody is asked for a name, it would show what it has in memory;
    every profile that is made costs the node time."""
    if proxy_settings.metrics is None:
        raise NotApplicable("it shows no metrics, and no profiles beside them")
    expect(proxy_settings.profiling, equals=False, what="enableProfiling")
