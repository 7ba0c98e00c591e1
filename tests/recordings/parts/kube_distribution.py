"""What an earlier k3s has left on a node of kubeadm's, in everybody's hands."""

from __future__ import annotations

from tests.live.hosts.overlay import OverlayHost

LEFT = "/var/lib/rancher/k3s/server"


def kubeadm_rotten(host: OverlayHost) -> None:
    host.write(f"{LEFT}/token", "K10" + "6b" * 32 + "::server:planted0000left0000over0\n")
    host.write("/etc/rancher/k3s/config.yaml", "write-kubeconfig-mode: 644\n", 0o666)
