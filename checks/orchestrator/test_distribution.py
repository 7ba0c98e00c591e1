"""What belongs to a distribution of Kubernetes itself: its files, its options, its release."""

from __future__ import annotations

from datetime import UTC, date, datetime

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.kubernetes.distribution_files import DistributionFile
from hullcheck.facts.kubernetes.node import KubernetesNode
from hullcheck.facts.kubernetes.rancher import Rancher

from ..build.closed import expect_closed

ENDS = {
    28: date(2024, 10, 22), 29: date(2025, 2, 28), 30: date(2025, 6, 28),
    31: date(2025, 10, 28), 32: date(2026, 2, 28), 33: date(2026, 6, 28),
    34: date(2026, 10, 27), 35: date(2027, 2, 28),
}  # fmt: skip
"""The last day of each minor release's fixes (kubernetes.io, releases/patch-releases)."""


@control(
    title="Nobody else reads or writes what k3s, RKE2, k0s or MicroK8s goes by",
    severity="critical",
    fix="chown root:root and chmod 600 config.yaml, config.yaml.d/* and k0s.yaml; of MicroK8s, "
    "chown -R root:microk8s and chmod 660 what lies in /var/snap/microk8s/current/args.",
)
def test_distribution_configuration(distribution_config: DistributionFile) -> None:
    """One process starts the whole cluster as root from this file. A line in it switches
    authentication off, or names a program to be run; the tokens by which nodes join and the
    password of an outer database often stand in it too, so that reading it is enough."""
    _closed(distribution_config)


@control(
    title="Nobody else reads the secrets by which nodes join the cluster",
    severity="critical",
    fix="chown root:root and chmod 600 the token files (server/token, node-token and agent-token "
    "of k3s and RKE2, --token-file, MicroK8s' credentials), and make new tokens if others "
    "could read them.",
)
def test_join_secrets(join_secret: DistributionFile) -> None:
    """Whoever has the token of a server joins the cluster as a server: with it k3s and RKE2 hand
    out the keys of every authority, decrypted. Tokens of MicroK8s' csv file are administrators."""
    _closed(join_secret)


def _closed(each: DistributionFile) -> None:
    _ = each.file.present
    expect_closed([each.file], each.trusted)


@control(
    title="k3s and RKE2 write the administrator's kubeconfig for root alone",
    severity="critical",
    fix="Remove write-kubeconfig-mode and write-kubeconfig-group from config.yaml, the unit and "
    "K3S_KUBECONFIG_MODE from its environment; give people credentials of their own.",
)
def test_written_kubeconfig(rancher: Rancher) -> None:
    """At each start the server writes a kubeconfig of system:masters, with the mode that it is
    told. Anything wider than 600 makes every user who can read it, or any service that is
    broken into, the administrator of the cluster; a chmod by hand lasts until the next start."""
    _server(rancher)
    told = rancher.options.flags.last("write-kubeconfig-mode") or "600"
    try:
        mode = int(told.removeprefix("0o"), 8)
    except ValueError:
        raise Unknown(f"write-kubeconfig-mode is {told!r}, which is no mode") from None
    shown = f"{mode & 0o777:03o}"
    group = rancher.options.flags.last("write-kubeconfig-group") or "root"
    allowed = 0o640 if group in ("root", "0") else 0o600
    expect(shown, equals=f"{mode & allowed:03o}", what=f"write-kubeconfig-mode of {rancher}")


@control(
    title="RKE2 runs with its CIS profile",
    severity="medium",
    level=2,
    fix="Set profile: cis in /etc/rancher/rke2/config.yaml, make the user etcd and the kernel "
    "settings that it asks for, and restart rke2-server or rke2-agent.",
)
def test_rke2_profile(rancher: Rancher) -> None:
    """With the profile RKE2 does not start on a node whose kernel is not set as the kubelet needs
    it, runs etcd as a user of its own, enforces the restricted Pod Security Standard, and keeps
    traffic between namespaces apart by network policies. Without it nothing of that is there."""
    if rancher.kind != "rke2":
        raise NotApplicable("this is no RKE2")
    profile = rancher.options.flags.last("profile") or ""
    known = profile == "cis" or profile.startswith("cis-1.")
    expect(profile if known else profile or "none", one_of=sorted({profile, "cis"} if known
           else {"cis"}), what=f"profile of {rancher}")  # fmt: skip


@control(
    title="k3s enforces network policies",
    severity="high",
    fix="Remove disable-network-policy from config.yaml and the unit, or install a network plugin "
    "that enforces policies and set flannel-backend: none.",
)
def test_network_policies_enforced(rancher: Rancher) -> None:
    """Flannel, which k3s brings, knows no network policies: a controller within k3s puts them into
    the packet filter. Switched off, the API takes every policy and nobody enforces it, so that
    each pod reaches each other one while the cluster looks closed."""
    if rancher.kind != "k3s":
        raise NotApplicable("RKE2 leaves network policies to its network plugin")
    _server(rancher)
    flags = rancher.options.flags
    if flags.last("flannel-backend") == "none":
        raise NotApplicable("another network plugin is in flannel's place")
    expect(rancher.options.on("disable-network-policy"), equals=False,
           what=f"disable-network-policy of {rancher}")  # fmt: skip


def _server(rancher: Rancher) -> None:
    if not rancher.server:
        raise NotApplicable("an agent takes this from its server")


@control(
    title="The release of Kubernetes still gets fixes",
    severity="high",
    fix="Upgrade the cluster one minor release at a time, the control plane first, to one that "
    "kubernetes.io/releases lists as supported.",
)
def test_supported_release(kubernetes_node: KubernetesNode, started: datetime) -> None:
    """A minor release gets fixes for fourteen months. After that holes that are found in the API
    server and the kubelet are published with patches for later releases only, and those patches
    tell how to use them against this one."""
    releases = kubernetes_node.releases()
    if not releases:
        if kubernetes_node.doubts:
            raise Unknown(kubernetes_node.doubts[0])
        raise NotApplicable(f"{kubernetes_node}; neither kubelet nor API server runs")
    today = started.astimezone(UTC).date()
    for what, minor in releases.items():
        if isinstance(minor, int):
            ends = ENDS.get(minor, date.min if minor < min(ENDS) else max(ENDS.values()))
            if minor > max(ENDS) and today > ends:
                raise Unknown(f"until when 1.{minor} of {what} gets fixes is not known")
            expect(today <= ends, equals=True, what=f"fixes for 1.{minor} of {what} (until {ends})")
    for doubt in releases.values():
        if isinstance(doubt, Unknown):
            raise Unknown(str(doubt))
