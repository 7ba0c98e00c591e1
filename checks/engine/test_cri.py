"""What containerd and CRI-O, the engines below a kubelet, are set to where both have a question."""

from __future__ import annotations

import ipaddress

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.containerd import Containerd
from hullcheck.facts.crio import Crio
from hullcheck.facts.engine_files import EngineFile
from hullcheck.facts.lsm import LSM

from .ownership import expect_mode, expect_owner

CONFIG, FOLDER, STORE = 0o644, 0o755, 0o711


@control(
    title="The runtime below a kubelet confines containers with AppArmor",
    severity="high",
    level=1,
    fix="Remove disable_apparmor = true from containerd's config.toml, or "
    'apparmor_profile = "unconfined" from crio.conf, and restart it.',
)
def test_cri_apparmor(cri: Containerd | Crio, lsm: LSM) -> None:
    """On a host with AppArmor the runtime's profile keeps containers from mounting and from most
    of /proc and /sys. Switched off in the runtime, no pod has it, not even one that asks."""
    if not lsm.apparmor.enabled:
        raise NotApplicable("the kernel runs without AppArmor")
    told = cri.apparmor
    expect(told.value, equals=True, what=f"AppArmor for containers ({told.source})")


@control(
    title="The runtime below a kubelet labels containers for SELinux",
    severity="high",
    level=1,
    fix="Set enable_selinux = true in the CRI plugin's part of containerd's config.toml, or "
    "selinux = true under [crio.runtime], and restart it.",
)
def test_cri_selinux(cri: Containerd | Crio, lsm: LSM) -> None:
    """SELinux separates containers from the host and from one another by labels. They are set by
    the runtime: unless it is told to, containers run with those of its own service."""
    if not lsm.selinux.enabled:
        raise NotApplicable("the kernel runs without SELinux")
    told = cri.selinux
    expect(told.value, equals=True, what=f"SELinux for containers ({told.source})")


@control(
    title="Sessions in containers are not served to the network in the clear",
    severity="medium",
    level=1,
    fix="Remove stream_server_address (containerd) or stream_address (CRI-O), so that it is "
    "127.0.0.1 again; or serve with TLS: enable_tls_streaming, stream_enable_tls.",
)
def test_cri_stream_server(cri: Containerd | Crio) -> None:
    """What is typed and shown in kubectl exec and attach passes through this server. A kubelet on
    the same host reaches it at 127.0.0.1; anywhere else it can be read and changed on its way."""
    address, tls = cri.stream_server
    if tls.value:
        expect(tls.value, equals=True, what=f"TLS of the stream server ({tls.source})")
        return
    where = str(address.value) or "any address of the host"
    what = f"what the stream server without TLS listens on ({address.source})"
    expect([where] if not _loopback(where) else [], equals=[], what=what)


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return address == "localhost"


@control(
    title="Only root can rewrite the configuration of containerd and CRI-O",
    severity="critical",
    level=1,
    fix="chown root:root config.toml, crio.conf, what they import, their drop-ins and the "
    "folders they lie in.",
)
def test_runtime_config_owner(runtime_config: EngineFile, accounts: Accounts) -> None:
    """The file names the programs that start containers as root. Whoever owns it, one that it
    imports, or the folder of either, chooses them at the next start."""
    expect_owner(runtime_config, accounts)


@control(
    title="The configuration of containerd and CRI-O is writable by root alone",
    severity="critical",
    level=1,
    fix="chmod 0644 config.toml, crio.conf, what they import and their drop-ins, and 0755 the "
    "folders they lie in; setfacl -b them.",
)
def test_runtime_config_mode(runtime_config: EngineFile) -> None:
    """A user who can write a line into the file, or a file into the folder of drop-ins, becomes
    root with the daemon's next start."""
    expect_mode(runtime_config, FOLDER if runtime_config.file.kind == "directory" else CONFIG)


@control(
    title="Only root owns what containerd and CRI-O keep of containers",
    severity="high",
    level=1,
    fix="chown root:root the directories that root, state and runroot name.",
)
def test_runtime_directory_owner(runtime_directory: EngineFile, accounts: Accounts) -> None:
    """Below these directories lie the file systems of all containers, the secrets mounted into
    them and what each is started from. Their owner can change any of it."""
    expect_owner(runtime_directory, accounts)


@control(
    title="Nobody but root can list what containerd and CRI-O keep of containers",
    severity="medium",
    level=1,
    fix="chmod 0711, or 0700, the directories that root, state and runroot name; setfacl -b them.",
)
def test_runtime_directory_mode(runtime_directory: EngineFile) -> None:
    """Files of containers carry modes that mean something inside: setuid programs and files that
    everybody may write. No user of the host should get to them by looking around."""
    expect_mode(runtime_directory, STORE)
