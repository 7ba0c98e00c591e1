"""The files a new host starts with, and what a client needs to reach it."""

from __future__ import annotations

import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path

# Directories of the machine a host must not inherit: they start empty, or with the seed. The last
# are what a machine for development has in tens of thousands, and a host of containers has not.
OPAQUE = (
    "/tmp", "/var/tmp", "/root", "/home", "/var/log", "/etc/ssh", "/etc/sudoers.d", "/etc/docker",
    "/etc/systemd/system", "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers",
    "/work", "/farm", "/usr/lib/google-cloud-sdk", "/usr/include", "/usr/src", "/usr/share/man",
)  # fmt: skip

SSHD_CONFIG = """\
Include /etc/ssh/sshd_config.d/*.conf
Port {port}
ListenAddress {address}
HostKey /etc/ssh/ssh_host_ed25519_key
KbdInteractiveAuthentication no
UsePAM yes
PrintMotd no
AcceptEnv LANG LC_*
Subsystem sftp /usr/lib/openssh/sftp-server
"""

SSH_CONFIG = """\
Host {name}
    HostName {address}
    Port {port}
    User root
    IdentityFile {key}
    IdentitiesOnly yes
    IdentityAgent none
    UserKnownHostsFile {known_hosts}
    GlobalKnownHostsFile none
    StrictHostKeyChecking yes
    BatchMode yes
    ConnectTimeout 10
"""


@dataclass(frozen=True)
class Access:
    """A client's side of one host: key pair, known_hosts and ssh_config in one directory."""

    ssh_config: Path
    known_hosts: Path
    key: Path
    public: str
    host_key: str
    host_key_file: Path
    address: str
    port: int

    @classmethod
    def make(cls, directory: Path, name: str, address: str, port: int) -> Access:
        directory.mkdir(mode=0o700)
        key, host_key = directory / "id_ed25519", directory / "ssh_host_ed25519_key"
        for path, comment in ((key, "client"), (host_key, f"root@{name}")):
            argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
            subprocess.run(argv, check=True)
        public, offered = (path.with_suffix(".pub").read_text().strip() for path in (key, host_key))
        known_hosts, config = directory / "known_hosts", directory / "ssh_config"
        where = address if port == 22 else f"[{address}]:{port}"
        known_hosts.write_text(f"{where} {' '.join(offered.split()[:2])}\n")
        config.write_text(
            SSH_CONFIG.format(
                name=name, address=address, port=port, key=key, known_hosts=known_hosts
            )
        )
        return cls(config, known_hosts, key, public, offered, host_key, address, port)


def lay_seed(root: Path, name: str, access: Access) -> None:
    """Make the tree that is copied onto the host's root before it starts."""
    files: dict[str, tuple[str, int]] = {
        "etc/hostname": (f"{name}\n", 0o644),
        "etc/hosts": (f"127.0.0.1 localhost\n{access.address} {name}\n", 0o644),
        "etc/machine-id": (f"{uuid.uuid4().hex}\n", 0o444),
        "etc/ssh/sshd_config": (
            SSHD_CONFIG.format(address=access.address, port=access.port),
            0o644,
        ),
        "etc/ssh/ssh_host_ed25519_key": (access.host_key_file.read_text(), 0o600),
        "etc/ssh/ssh_host_ed25519_key.pub": (f"{access.host_key}\n", 0o644),
        "root/.ssh/authorized_keys": (f"{access.public}\n", 0o600),
        "var/log/wtmp": ("", 0o664),
        "var/log/btmp": ("", 0o660),
        "var/log/lastlog": ("", 0o664),
    }
    for directory, mode in (("etc/ssh/sshd_config.d", 0o755), ("root/.ssh", 0o700)):
        (root / directory).mkdir(parents=True)
        (root / directory).chmod(mode)
    (root / "root").chmod(0o700)
    for path, (text, mode) in files.items():
        put(root, path, text, mode)


def put(root: Path, path: str, text: str, mode: int = 0o644) -> None:
    """Write one file of a seed, with the directories above it (0755)."""
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
