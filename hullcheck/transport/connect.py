"""From a target to a testinfra host that speaks through our own session."""

from __future__ import annotations

from pathlib import Path

from testinfra.host import Host

from hullcheck.transport.ansible import from_ansible
from hullcheck.transport.backend import host_of
from hullcheck.transport.batch import Batch
from hullcheck.transport.foreign import ForeignWire, exec_prefix
from hullcheck.transport.kubernetes_api import KubernetesWire
from hullcheck.transport.local import LocalShell
from hullcheck.transport.openssh_shell import OpenSSHShell
from hullcheck.transport.paramiko_shell import ParamikoShell
from hullcheck.transport.recording import Replay, load
from hullcheck.transport.session import Redactor, Session, Wire
from hullcheck.transport.sudo import Sudo
from hullcheck.transport.target import CLUSTER, SSH_SCHEMES, Target
from hullcheck.transport.want import Unreachable

__all__ = ["connect"]


def connect(
    target: Target,
    *,
    sudo_password: str | None = None,
    connect_timeout: float | None = None,
    redact: Redactor = lambda evidence: evidence,
) -> Host:
    """Connect to a target and return it as a testinfra host.

    The connection is made and the login done here; sudo and the shell are met with the first
    question. ``session_of(host).close()`` ends all that was started.

    :param sudo_password: what sudo is given if it asks.
    :param connect_timeout: seconds; None: ssh_config's ConnectTimeout, else 10.
    :raises Unreachable: the host cannot be audited; the text is one sentence with what to do.
    """
    if target.scheme == "recording":
        return _replayed(target)
    if target.scheme == CLUSTER:
        cluster = Session(KubernetesWire(target, connect_timeout), redact, cluster=True)
        return host_of(cluster, target.name, target.scheme)
    if target.scheme == "ansible":
        target = from_ansible(target) or target
    sudo = Sudo(target.sudo_user or "", sudo_password) if target.sudo else None
    timeout = target.timeout or connect_timeout
    wire = _wire(target, sudo, timeout)
    return host_of(Session(wire, redact), target.name, target.scheme)


def _wire(target: Target, sudo: Sudo | None, timeout: float | None) -> Wire:
    if target.scheme == "local":
        return Batch(LocalShell(sudo))
    if target.scheme in SSH_SCHEMES:
        kind = ParamikoShell if target.scheme == "paramiko" else OpenSSHShell
        shell = kind(target, sudo, timeout)
        shell.open()
        return Batch(shell)
    if (prefix := exec_prefix(target)) is not None:
        return Batch(LocalShell(sudo, prefix, target.display))
    if target.scheme == "winrm":
        raise Unreachable("shell", f"{target.display}: Windows is not audited: Linux only")
    return ForeignWire(target)


def _replayed(target: Target) -> Host:
    """Return a host that answers from a recording, whose line numbers stay what they are."""
    try:
        evidence = load(Path(target.address))
    except OSError as error:
        raise Unreachable("lost", f"{target.address}: {error.strerror}") from error
    except ValueError as error:
        raise Unreachable("lost", str(error)) from error
    session = Session(Replay(evidence))
    session.preload(evidence)
    return host_of(session, target.name, target.scheme)
