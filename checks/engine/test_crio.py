"""What CRI-O is set to, where no other engine has the question."""

from __future__ import annotations

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.crio import DEVICES, Crio
from hullcheck.inventory.policy import Policy

METRICS_PORT = 9090


@control(
    title="Pods cannot ask CRI-O for devices of the host",
    severity="high",
    level=1,
    fix="Remove what is named from allowed_devices and additional_devices in crio.conf and its "
    "drop-ins, or list it under devices in the policy.",
)
def test_crio_devices(crio: Crio, policy: Policy) -> None:
    """An annotation on a pod is enough to be given a device that is on the list, and nothing in
    Kubernetes asks whether the pod's author may. A disk among them is the whole host."""
    told = crio.devices
    beyond = sorted(set(told.value) - {*DEVICES, *policy.devices})
    expect(beyond, equals=[], what=f"devices that pods are given or can ask for ({told.source})")


@control(
    title="Containers of CRI-O cannot get back to the host's root directory",
    severity="high",
    level=1,
    fix="Remove no_pivot = true under [crio.runtime] from crio.conf and restart CRI-O.",
)
def test_crio_pivot_root(crio: Crio) -> None:
    """pivot_root(2) takes the host's file systems out of a container's reach. Moving a mount over
    the root, as no_pivot does, leaves them below: who unmounts it stands on the host."""
    told = crio.setting(False, "runtime", "no_pivot")
    expect(told.value, equals=False, what=f"no_pivot ({told.source})")


@control(
    title="CRI-O's metrics are served to the host alone",
    severity="low",
    level=1,
    fix='Set metrics_host = "127.0.0.1" under [crio.metrics], or enable_metrics = false, and '
    "restart CRI-O.",
)
def test_crio_metrics(crio: Crio) -> None:
    """The metrics tell which images are pulled and what fails, and their server does not ask who
    wants to know."""
    if not crio.setting(False, "metrics", "enable_metrics").value:
        raise NotApplicable("CRI-O serves no metrics")
    port = crio.setting(METRICS_PORT, "metrics", "metrics_port").value
    beyond = [str(each) for each in crio.listeners if each.port == port and not each.loopback]
    expect(beyond, equals=[], what="where the metrics are served to others")
