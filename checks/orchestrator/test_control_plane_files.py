"""The files that start a control plane, and those that let into it."""

from __future__ import annotations

from hullcheck.control import NotApplicable, control
from hullcheck.facts.kubernetes.places import NodeFile

from .files import expect_kept, expect_private

SPEC_FIX = (
    "chown root:root and chmod 600 the manifest of {0} in the kubelet's staticPodPath (MicroK8s: "
    "its file in args), and close the directories above it to others. Of a unit of systemd chmod "
    "go-w the unit, its drop-ins and its EnvironmentFile."
)
CONFIG_FIX = "chown root:root and chmod 600 {0}; the directories above it must be root's as well."


@control(
    title="Nobody else changes what starts the API server, or reads its manifest",
    severity="critical",
    fix=SPEC_FIX.format("kube-apiserver"),
)
def test_api_server_manifest(api_server_spec: NodeFile) -> None:
    """Whoever can write the API server's manifest, or replace it in its directory, turns
    authentication off or mounts the node's root at the next second: the kubelet starts what it
    says, with all rights, and asks no one. Whoever reads it knows where every key lies."""
    expect_private(api_server_spec)


@control(
    title="Nobody else changes what starts the controller manager, or reads its manifest",
    severity="critical",
    fix=SPEC_FIX.format("kube-controller-manager"),
)
def test_controller_manager_manifest(controller_manager_spec: NodeFile) -> None:
    """The kubelet starts whatever this manifest says, with the rights of the node. The controller
    manager holds the key that signs service accounts' tokens and often the cluster's authority:
    one changed line sends both away."""
    expect_private(controller_manager_spec)


@control(
    title="Nobody else changes what starts the scheduler, or reads its manifest",
    severity="critical",
    fix=SPEC_FIX.format("kube-scheduler"),
)
def test_scheduler_manifest(scheduler_spec: NodeFile) -> None:
    """The kubelet starts whatever this manifest says, with the rights of the node. That it is the
    scheduler's makes it no less a way to run a privileged pod that no admission has seen."""
    expect_private(scheduler_spec)


@control(
    title="Nobody else changes what starts etcd, or reads its manifest",
    severity="critical",
    fix=SPEC_FIX.format("etcd") + " The same holds for the file of --config-file.",
)
def test_etcd_manifest(etcd_spec: NodeFile) -> None:
    """Whoever can write etcd's manifest, or the file that sets it, takes client certificates away
    from it or adds an address in the clear, and then reads and writes every object of the cluster,
    all secrets among them, past the API server."""
    expect_private(etcd_spec)


@control(
    title="Nobody else can change how pods get their network",
    severity="critical",
    fix="chown -R root:root and chmod go-w the runtime's CNI directories (conf_dir and bin_dir, "
    "usually /etc/cni/net.d and /opt/cni/bin) and the directories above them.",
)
def test_cni_files(cni_file: NodeFile) -> None:
    """The runtime runs the network plugins as root of the node each time a pod starts, those that
    the configuration names. A plugin or a configuration that others can write is root for them,
    and lets them see or redirect what all pods send."""
    expect_kept(cni_file)


@control(
    title="Nobody else reads the configuration of the pods' network",
    severity="low",
    level=2,
    fix="chmod 600 the files in the runtime's conf_dir (usually /etc/cni/net.d); what a network "
    "add-on writes there may need the mode set in the add-on.",
)
def test_cni_secrets(cni_file: NodeFile) -> None:
    """Network add-ons put kubeconfigs and keys for their database beside the configuration, and
    the configuration itself says which networks and policies there are. Only the runtime, which
    is root, has to read it."""
    if cni_file.file.kind == "directory" or cni_file.file.mode & 0o111:
        raise NotApplicable("it is a directory or a program")
    expect_private(cni_file)


@control(
    title="Nobody else reaches the data of the cluster's database",
    severity="critical",
    fix="chmod 700 the data directory (etcd's --data-dir and --wal-dir, server/db of k3s), and "
    "chown it to the user that etcd runs as.",
)
def test_cluster_database(cluster_database: NodeFile) -> None:
    """Everything the cluster knows lies in these files: secrets, tokens, who may do what. Who
    reads them needs no login, who writes them makes himself administrator. They belong to the
    user that the database really runs as; a user called etcd means nothing where it runs as root
    in a pod."""
    expect_private(cluster_database)


@control(
    title="Nobody else reads or writes an administrator's kubeconfig",
    severity="critical",
    fix=CONFIG_FIX.format("admin.conf and super-admin.conf")
    + " A copy in a home is its owner's alone: chmod 600; k3s: drop write-kubeconfig-mode.",
)
def test_admin_kubeconfig(admin_kubeconfig: NodeFile) -> None:
    """It holds the key of an administrator of the cluster, which cannot be called back before its
    certificate ends: super-admin.conf and the files of k3s and RKE2 stand above all roles. Copies
    in homes count as much as the first one."""
    expect_private(admin_kubeconfig)


@control(
    title="Nobody else reads or writes the scheduler's kubeconfig",
    severity="high",
    fix=CONFIG_FIX.format("scheduler.conf (what --kubeconfig or the scheduler's --config names)"),
)
def test_scheduler_kubeconfig(scheduler_kubeconfig: NodeFile) -> None:
    """It is the scheduler's identity. Who reads it decides on which node a pod lands; who writes
    it points the scheduler at an API server of his own."""
    expect_private(scheduler_kubeconfig)


@control(
    title="Nobody else reads or writes the controller manager's kubeconfig",
    severity="critical",
    fix=CONFIG_FIX.format("controller-manager.conf (what --kubeconfig names)"),
)
def test_controller_manager_kubeconfig(controller_manager_kubeconfig: NodeFile) -> None:
    """It is the controller manager's identity, which reads every secret and makes tokens of every
    service account: as good as an administrator's."""
    expect_private(controller_manager_kubeconfig)


@control(
    title="Nobody else can change a certificate or its directory",
    severity="critical",
    fix="chown -R root:root the PKI directory (/etc/kubernetes/pki, server/tls), chmod 644 its "
    "certificates and 755 or tighter its directories; what etcd alone uses may be etcd's.",
)
def test_pki_files(pki_file: NodeFile) -> None:
    """A certificate of an authority is what decides who is let in. Who can put another one in its
    place, or a file into its directory, adds an authority of his own, and with it any user he
    likes. Judged are the files that the components name, wherever they lie, and all beside
    them."""
    expect_kept(pki_file)


@control(
    title="Nobody else reads or writes a private key of the control plane",
    severity="critical",
    fix="chmod 600 the file and chown it to root, or to the user of the one component that names "
    "it by a flag.",
)
def test_pki_keys(pki_key: NodeFile) -> None:
    """With an authority's key anybody can be made anyone, with the key of service accounts any
    pod's token, with a server's key its traffic. Which file is a key is told by what is in it: a
    key in a .pem or .crt counts as one in a .key."""
    expect_private(pki_key)
