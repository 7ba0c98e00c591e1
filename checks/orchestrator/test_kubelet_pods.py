"""What a kubelet gives pods by default, and how it keeps its node alive."""

from __future__ import annotations

import re

from testinfra.host import Host

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.containerd import Containerd
from hullcheck.facts.crio import Crio
from hullcheck.facts.kubernetes.kubelet_settings import DEFAULT, KubeletSettings
from hullcheck.facts.registry import Unseen, get
from hullcheck.transport import read, session_of

from .kubelet_values import expect_setting, number

SIGNALS = ("memory.available", "nodefs.available")


@control(
    title="Connections through the kubelet end when nobody uses them",
    severity="low",
    fix="Remove streamingConnectionIdleTimeout: 0 from what the kubelet goes by (the default is "
    "4h), or set a time such as 5m, and restart it.",
)
def test_kubelet_stream_timeout(kubelet_settings: KubeletSettings) -> None:
    """A kubectl exec or port-forward that was left open stays a way in for whoever gets hold of
    that client, and each one takes memory and a port of the node."""
    told = kubelet_settings.get("streamingConnectionIdleTimeout")
    ends = re.search("[1-9]", str(told.value)) and not str(told.value).startswith("-")
    expect("ends" if ends else str(told), equals="ends", what="streamingConnectionIdleTimeout")


@control(
    title="The kubelet keeps its rules in the packet filter",
    severity="low",
    fix="Set makeIPTablesUtilChains: true (the default) and restart the kubelet.",
)
def test_kubelet_packet_filter(kubelet_settings: KubeletSettings) -> None:
    """The kubelet drops packets from elsewhere that pose as local ones (127.0.0.0/8): services on
    the node's localhost rely on that where route_localnet is on."""
    expect_setting(kubelet_settings, "makeIPTablesUtilChains", equals=True)


@control(
    title="The kubelet goes by its host's own name",
    severity="low",
    level=2,
    fix="Take --hostname-override off the kubelet's command line and let the node join again, "
    "unless the cloud gives nodes their names.",
)
def test_kubelet_hostname(kubelet_settings: KubeletSettings) -> None:
    """By its name a node gets its certificate, and may write its own objects. Under another node's
    name it writes that one's, and logs name the wrong machine."""
    name = kubelet_settings.kubelet.flags.last("hostname-override")
    if not name:
        expect("its own", equals="its own", what="its name")
        return
    answer = session_of(kubelet_settings.host).ask(read("/proc/sys/kernel/hostname"))[0]
    own = answer.text.strip().lower()
    cloud = kubelet_settings.kubelet.flags.last("cloud-provider")
    known = name.strip().lower() in (own, own.partition(".")[0])
    if cloud and not known:
        raise Manual(f"see that {name!r} is this node's name in the cloud, and no other node's")
    expect("its own" if known else name, equals="its own", what="--hostname-override")


@control(
    title="The kubelet reports events, and not without limit",
    severity="low",
    level=2,
    fix="Set eventRecordQPS to 5 or more (the default is 50), not to 0, and restart the kubelet.",
)
def test_kubelet_events(kubelet_settings: KubeletSettings) -> None:
    """Events tell what happened to pods. With 0 a node that is made to fail over and over floods
    etcd with them; with very few, what an attacker does is not among them."""
    expect(number(kubelet_settings, "eventRecordQPS"), at_least=1, what="eventRecordQPS")


@control(
    title="No pod can use up the node's process numbers",
    severity="medium",
    fix="Set podPidsLimit (for example 4096) in the kubelet's configuration and restart it.",
)
def test_kubelet_pid_limit(kubelet_settings: KubeletSettings) -> None:
    """A fork bomb in one pod stops every other pod, and root's own shell, when the numbers run
    out. By default a pod may have as many as the node."""
    expect(number(kubelet_settings, "podPidsLimit"), at_least=1, what="podPidsLimit")


@control(
    title="Pods that name no seccomp profile get the runtime's default one",
    severity="medium",
    fix="Set seccompDefault: true in the kubelet's configuration and restart it; pods that need "
    "more name their profile.",
)
def test_kubelet_seccomp_default(kubelet_settings: KubeletSettings) -> None:
    """Kubernetes runs containers without a seccomp filter unless it is told otherwise: hundreds
    of system calls that no program needs are then ways into the kernel."""
    expect_setting(kubelet_settings, "seccompDefault", equals=True)
    gate = kubelet_settings.feature_gates.get("SeccompDefault", True)
    expect(gate, equals=True, what="feature gate SeccompDefault")


@control(
    title="The kubelet does not start where kernel settings are not as it needs them",
    severity="low",
    level=2,
    fix="Set protectKernelDefaults: true in the kubelet's configuration, and the settings that it "
    "asks for (vm.overcommit_memory=1, kernel.panic=10 …) in /etc/sysctl.d.",
)
def test_kubelet_kernel_defaults(kubelet_settings: KubeletSettings) -> None:
    """Otherwise it changes them itself when it starts: what was set for the host, and audited, is
    no longer what is."""
    expect_setting(kubelet_settings, "protectKernelDefaults", equals=True)


@control(
    title="Pods may not ask for kernel settings that are not safe to share",
    severity="medium",
    fix="Remove allowedUnsafeSysctls from the kubelet's configuration and --allowed-unsafe-sysctls "
    "from its command line; run what needs them on nodes of its own.",
)
def test_kubelet_unsafe_sysctls(kubelet_settings: KubeletSettings) -> None:
    """What is on that list a pod may set without further question; some of these are not its own
    alone, and let it harm its neighbours or the node."""
    told = kubelet_settings.get("allowedUnsafeSysctls")
    expect(told.value or [], equals=[], what=f"allowedUnsafeSysctls by {told.source}")


@control(
    title="The kubelet ends pods before the node runs out of memory or disk",
    severity="low",
    fix="Set evictionHard with memory.available and nodefs.available (or leave it out altogether) "
    "in the kubelet's configuration, and restart it.",
)
def test_kubelet_eviction(kubelet_settings: KubeletSettings) -> None:
    """Without a threshold a pod fills the disk, or the memory, until the kubelet and the logs fail
    as well. Whoever sets some thresholds takes all default ones away, unless told to merge."""
    told = kubelet_settings.get("evictionHard")
    values = dict(told.value) if isinstance(told.value, dict) else {}
    merged = kubelet_settings.get("mergeDefaultEvictionSettings").value is True
    for signal in SIGNALS:
        said = values.get(signal, "the default" if merged else "")
        off = not re.search("[1-9]", said) and said != "the default"
        observed = f"off ({told.source})" if off or said == "100%" else "set"
        expect(observed, equals="set", what=f"evictionHard of {signal}")


@control(
    title="Logs of containers and old images cannot fill the node",
    severity="low",
    fix="Remove a negative containerLogMaxSize and an imageGCHighThresholdPercent of 100 from what "
    "the kubelet goes by (defaults: 10Mi and 85), and restart it.",
)
def test_kubelet_disk_limits(kubelet_settings: KubeletSettings) -> None:
    """A container that writes without end, or images that nobody removes, fill the disk; then
    nothing is logged any more, on purpose or not."""
    told = kubelet_settings.get("containerLogMaxSize")
    endless = str(told.value).strip().startswith("-")
    expect("endless" if endless else "bounded", equals="bounded", what="containerLogMaxSize")
    high = number(kubelet_settings, "imageGCHighThresholdPercent")
    expect(high, at_most=99, what="imageGCHighThresholdPercent")


@control(
    title="The kubelet and its runtime manage cgroups in the same way",
    severity="low",
    fix="Set cgroupDriver: systemd in the kubelet's configuration, and SystemdCgroup = true "
    '(containerd) or cgroup_manager = "systemd" (CRI-O), and restart both.',
)
def test_kubelet_cgroup_driver(kubelet_settings: KubeletSettings) -> None:
    """Two managers of one tree undo each other's limits: under pressure the node becomes unsound
    and pods outgrow what they may have."""
    told = kubelet_settings.get("cgroupDriver")
    runtime, driver = _runtime(kubelet_settings.host)
    if driver != told.value and told.source == DEFAULT:
        raise Unknown(f"{runtime} uses {driver}; from 1.31 on a kubelet that is not told may ask")
    expect(str(told.value), equals=driver, what=f"cgroupDriver, beside {runtime},")


def _runtime(host: Host) -> tuple[str, str]:
    """Return the runtime that serves pods, and how it manages cgroups.

    :raises NotApplicable: none is known here. :raises Unknown: it cannot be told.
    """
    daemons: list[Containerd | Crio | Unseen] = get(host, "cri")
    found: dict[str, str] = {}
    for each in daemons:
        if isinstance(each, Unseen):
            raise Unknown(each.reason)
        if isinstance(each, Crio):
            found[str(each)] = each.setting("systemd", "runtime", "cgroup_manager").value
            continue
        default = each.cri("runc", "containerd", "default_runtime_name").value
        options = each.runtimes.get(default, {}).get("options", {})
        systemd = options.get("SystemdCgroup") if isinstance(options, dict) else None
        found[str(each)] = "systemd" if systemd is True else "cgroupfs"
    if len(found) != 1:
        raise NotApplicable("none runs" if not found else "several runtimes serve pods")
    return next(iter(found.items()))
