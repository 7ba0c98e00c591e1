"""Static pods: what their manifests on the node ask for."""

from __future__ import annotations

from collections.abc import Iterator

from hullcheck.control import control, expect
from hullcheck.facts.capabilities import DOCKER_DEFAULT, names
from hullcheck.facts.foreign_yaml import at, items, text
from hullcheck.facts.host_trees import PUBLIC
from hullcheck.facts.kubernetes.static_pods import HostPath, StaticPod, true
from hullcheck.facts.mounts import within
from hullcheck.facts.runtime_sockets import KNOWN
from hullcheck.facts.secret_names import names_in_text
from hullcheck.inventory.document import Node
from hullcheck.inventory.policy import Policy

CLOSED = (
    "/boot", "/etc/cni", "/etc/kubernetes", "/etc/passwd", "/etc/rancher", "/etc/shadow",
    "/etc/ssh", "/etc/sudoers", "/etc/sudoers.d", "/etc/systemd", "/etc/cron.d", "/proc", "/root",
    "/run/containerd", "/run/crio", "/run/docker", "/run/dbus", "/run/k0s", "/run/k3s",
    "/run/systemd", "/var/lib/containerd", "/var/lib/containers", "/var/lib/docker",
    "/var/lib/kubelet", "/var/spool/cron", "/var/snap/microk8s/common/run", "/var/lib/crio",
)  # fmt: skip
"""Of these no part belongs in a pod."""

WHOLES = ("/dev", "/home", "/opt/cni/bin", "/sys", "/usr/bin", "/usr/lib", "/var/log")
"""Neither these as a whole nor what contains them."""

ADMINISTRATORS = ("/etc/kubernetes/admin.conf", "/etc/kubernetes/super-admin.conf",
                  "/etc/kubernetes/manifests", "/etc/kubernetes/kubelet.conf")  # fmt: skip


@control(
    title="Static pods ask for no rights over their node",
    severity="high",
    level=1,
    fix="Remove privileged, hostPID, hostIPC, hostNetwork, added capabilities, procMount Unmasked "
    "and profiles of type Unconfined from the manifest; waive what needs them by design.",
)
def test_static_pod_rights(static_pod: StaticPod, policy: Policy) -> None:
    """No admission looks at a static pod: the kubelet starts what the manifest says. The host's
    network is taken as right for components of the control plane alone; CNI agents, kube-proxy
    and load balancers that need more are to be waived by name."""
    spec = static_pod.spec
    asked = [each for each in ("hostPID", "hostIPC") if true(at(spec, each))]
    if true(at(spec, "hostNetwork")) and not static_pod.control_plane:
        asked.append("hostNetwork")
    asked += _unconfined(at(spec, "securityContext"), "pod")
    for name, container in static_pod.containers.items():
        context = at(container, "securityContext")
        asked += _unconfined(context, name)
        asked += _rights(context, name, names(policy.capabilities))
    expect(asked, equals=[], what="rights over the node")


def _rights(context: Node | None, name: str, allowed: frozenset[str]) -> Iterator[str]:
    if true(at(context, "privileged")):
        yield f"{name}: privileged"
    if text(at(context, "procMount")) == "Unmasked":
        yield f"{name}: procMount Unmasked"
    added = names([text(each) for each in items(at(context, "capabilities", "add"))])
    for each in sorted(added - allowed - DOCKER_DEFAULT | added & {"CAP_NET_RAW"} - allowed):
        yield f"{name}: {each}"


def _unconfined(context: Node | None, name: str) -> Iterator[str]:
    for kind in ("seccompProfile", "appArmorProfile"):
        if text(at(context, kind, "type")) == "Unconfined":
            yield f"{name}: {kind} Unconfined"


@control(
    title="Static pods mount nothing that hands over their node",
    severity="critical",
    level=1,
    fix="Take the hostPath volume out of the manifest, or mount the one file that is needed, with "
    "readOnly: true; list it in host_paths of the policy.",
)
def test_static_pod_host_paths(static_pod: StaticPod, policy: Policy) -> None:
    """Sockets of runtimes, the kubelet's folders, an administrator's kubeconfig or the root
    directory make whoever breaks into the pod root on the node or more. Keys and kubeconfigs below
    /etc/kubernetes are taken as right for components of the control plane alone."""
    found = [
        str(each) for each in static_pod.host_paths
        if _hands_over(each, static_pod.control_plane)
        and not any(within(each.path, known.rstrip("/") or "/") for known in policy.host_paths)
    ]  # fmt: skip
    expect(found, equals=[], what="paths of the node")


def _hands_over(mount: HostPath, control_plane: bool) -> bool:
    path = mount.path
    if within(path, "/var/run"):
        path = path.removeprefix("/var")
    if not mount.writable and any(within(path, each) for each in PUBLIC):
        return False
    if control_plane and within(path, "/etc/kubernetes") and path != "/etc/kubernetes":
        return any(within(path, each) for each in ADMINISTRATORS)
    if path in KNOWN or path.endswith((".sock", ".sock.ttrpc")):
        return True
    return any(within(path, each) for each in CLOSED) or any(
        within(each, path) for each in (*CLOSED, *WHOLES, *KNOWN)
    )


@control(
    title="Manifests of static pods hold no secrets",
    severity="high",
    level=1,
    fix="Mount a file of mode 0600 with the secret (hostPath, readOnly: true) in place of the "
    "value; name in plain_variables of the policy what is none.",
)
def test_static_pod_secrets(static_pod: StaticPod, policy: Policy) -> None:
    """A static pod cannot name a Secret, so values end up in its manifest: in backups, in the
    mirror that the API server shows to whoever may read pods, and in the process list."""
    found = []
    for name, container in static_pod.containers.items():
        for each in items(at(container, "env")):
            variable = text(at(each, "name"))
            held = names_in_text(f"{variable}={text(at(each, 'value'))}", variable)
            if variable not in policy.plain_variables and list(held):
                found.append(f"{name}: {variable}")
        for word in (*items(at(container, "command")), *items(at(container, "args"))):
            found += [f"{name}: {each}" for each in names_in_text(text(word), "command")]
    expect(list(dict.fromkeys(found)), equals=[], what="secrets")


@control(
    title="Static pods name the release of their image",
    severity="medium",
    level=1,
    fix="Write image: NAME:RELEASE or NAME@sha256:… in the manifest, not latest.",
)
def test_static_pod_images(static_pod: StaticPod) -> None:
    """Without a tag, or with latest, the node runs whatever the registry hands out at the next
    start, with the rights of the manifest and nobody to look at it."""
    found = [
        f"{name}: {image}"
        for name, container in static_pod.containers.items()
        if _loose(image := text(at(container, "image")))
    ]
    expect(found, equals=[], what="images without a release")


def _loose(image: str) -> bool:
    if "@" in image:
        return False
    return image.rpartition("/")[2].partition(":")[2] in ("", "latest")
