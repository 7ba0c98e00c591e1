"""The files of kubelets and kube-proxies: who else may read, change or replace them."""

from __future__ import annotations

import posixpath

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.files import File, Files
from hullcheck.facts.kubernetes.kubelet_files import KubeletFile
from hullcheck.facts.kubernetes.kubelet_places import BOOTSTRAP, KUBECONFIGS, KubeletPlaces
from hullcheck.facts.kubernetes.kubelet_settings import KubeletSettings
from hullcheck.facts.registry import get

from .kubelet_values import expect_kept, expect_private

MANIFEST = (".yaml", ".yml", ".json", ".manifest")


@control(
    title="Nobody but root changes the unit that starts the kubelet",
    severity="critical",
    fix="chown root:root and chmod 0644 (or 0600) the file that is named; take write permission "
    "for others from the directories on the way to it.",
)
def test_kubelet_unit_files(kubelet_unit_file: KubeletFile) -> None:
    """The kubelet runs as root. Whoever writes its unit, a drop-in or the file of its environment
    has root at its next start, and sets what everybody may do on this node."""
    expect_kept(kubelet_unit_file)


@control(
    title="Nobody but root reads or changes the kubelet's settings",
    severity="high",
    fix="chown root:root and chmod 0600 the file that is named, each drop-in of --config-dir too "
    "(0700 the folder), or chmod 0700 the directory that it lies in.",
)
def test_kubelet_config_files(kubelet_config_file: KubeletFile) -> None:
    """Who writes them turns the kubelet's authentication off, or lets it start pods of their own;
    who reads them learns what the node does not check. A drop-in counts more than the file."""
    expect_private(kubelet_config_file)


@control(
    title="Nobody but root reads the kubelet's kubeconfig",
    severity="critical",
    fix="chown root:root and chmod 0600 the file that is named.",
)
def test_kubelet_kubeconfig(kubelet_kubeconfig: KubeletFile) -> None:
    """With it one is the node: reads the secrets of all its pods, and speaks for it to the API
    server. Who writes it sends the kubelet to an API server of their own."""
    expect_private(kubelet_kubeconfig)


@control(
    title="Nobody but root reads the kubelet's private keys",
    severity="critical",
    fix="chown root:root and chmod 0600 the file that is named (kubeadm: in /var/lib/kubelet/pki).",
)
def test_kubelet_keys(kubelet_key: KubeletFile) -> None:
    """The client's key is the node's name to the API server; with the server's key one poses as
    the kubelet and sees what is sent into containers."""
    expect_private(kubelet_key)


@control(
    title="Nobody but root changes whom the kubelet believes",
    severity="critical",
    fix="chown root:root and chmod 0644 the file that is named (kubeadm: "
    "/etc/kubernetes/pki/ca.crt).",
)
def test_kubelet_client_ca_file(kubelet_client_ca: KubeletFile) -> None:
    """Who adds an authority of their own to this file signs themselves a name that the kubelet
    takes for the API server's."""
    expect_kept(kubelet_client_ca)


@control(
    title="Nobody but root reads the kubeconfig of kube-proxy",
    severity="high",
    fix="chown root:root and chmod 0600 the file that is named.",
)
def test_proxy_kubeconfig(proxy_kubeconfig: KubeletFile) -> None:
    """With it one is kube-proxy, and knows all services of the cluster; who writes it sends
    kube-proxy, and with it the node's traffic, where they like."""
    expect_private(proxy_kubeconfig)


@control(
    title="Nobody but root changes the settings of kube-proxy",
    severity="high",
    fix="chown root:root and chmod 0644 the file that is named.",
)
def test_proxy_config_file(proxy_config_file: KubeletFile) -> None:
    """kube-proxy has the node's packet filter in its hands and starts anew as soon as this file
    changes: who writes it names another API server to take services from."""
    expect_kept(proxy_config_file)


@control(
    title="Nobody but root lays pods into the kubelet's own directory",
    severity="critical",
    fix="chown -R root:root the directory of staticPodPath, chmod 0700 it and 0600 each manifest; "
    "move copies and backups elsewhere.",
)
def test_static_pod_directory(static_pod_directory: KubeletFile) -> None:
    """What lies there runs on the node within seconds, privileged if it says so, and past every
    admission check. The kubelet takes each file for a manifest, a backup copy as well."""
    expect_private(static_pod_directory)
    backups = []
    for file in _inside(static_pod_directory):
        ways = file.writable_by_others(static_pod_directory.trusted)
        expect(ways, equals=[], what=f"what lets others change {file}")
        if file.kind == "file" and not file.path.endswith(MANIFEST):
            backups.append(file.path)
    expect(backups, equals=[], what="files beside manifests, which the kubelet takes for some")


def _inside(directory: KubeletFile) -> list[File]:
    """Return what the kubelet reads of a directory: hidden names and what is deeper it does not."""
    files: Files = get(directory.host, "files")
    listed = files.list(directory.names[0].resolved)
    found = files.all(path for path in listed if not posixpath.basename(path).startswith("."))
    for each in found:
        _ = each.exists
    return [each for each in found if each.state == "present"]


@control(
    title="Nothing is left by which another machine could join",
    severity="high",
    fix="Remove the file that is named (kubeadm token delete the token first); give nodes tokens "
    "that live for an hour, and keep them out of user-data.",
)
def test_kubelet_leftovers(kubelet_places: KubeletPlaces) -> None:
    """With a token one asks the cluster for a node's certificate, and is given it: then the
    secrets of whatever is scheduled there. Whoever joined a node seldom tidies up."""
    joined = kubelet_places.existing([each for each in KUBECONFIGS if each != BOOTSTRAP])
    found = list(kubelet_places.tokens)
    if joined and kubelet_places.existing([BOOTSTRAP]):
        found.append(BOOTSTRAP)
    used = found or kubelet_places.unit or kubelet_places.existing(KUBECONFIGS)
    expect(sorted(set(found)), equals=[], what="files by which others could join")
    if kubelet_places.unread:
        raise Unknown(f"{kubelet_places.unread[0]} cannot be read; it needs root")
    for path, why in kubelet_places.denied:
        raise Unknown(f"{path} cannot be looked at: {why}; it may need root")
    if not used:
        raise NotApplicable("there is nothing of a kubelet here")


@control(
    title="The kubelet goes by its settings as they are now",
    severity="medium",
    fix="Look at what was changed in the file that is named, and restart the kubelet.",
)
def test_kubelet_restarted(kubelet_settings: KubeletSettings) -> None:
    """A kubelet reads its files once. What was made stricter since does not count yet, and what
    somebody loosened waits for the next start."""
    if not kubelet_settings.files:
        raise NotApplicable("it has no file of settings")
    expect(kubelet_settings.changed, equals=[], what="files that were changed since it started")
