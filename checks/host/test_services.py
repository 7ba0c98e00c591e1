"""What a container host has no need of."""

from __future__ import annotations

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.compilers import Compilers
from hullcheck.facts.legacy import Legacy
from hullcheck.facts.role import BUILD_HOST, Role
from hullcheck.inventory.policy import Policy


@control(
    title="No old network services are on the host",
    severity="medium",
    fix="Remove the package, or systemctl disable --now the service and its socket. What this host "
    "is meant to serve belongs in services_allowed of the policy.",
)
def test_legacy_services(legacy: Legacy, policy: Policy) -> None:
    """telnet, rsh, NIS and their kin carry passwords in the clear or trust whoever asks; TFTP,
    FTP, Avahi, CUPS and rpcbind were ways into hosts that had no use for them. On a container
    host they are also what containers can reach over the bridge. The first are wrong as soon as
    they are installed, the others when they run or will be started; rpcbind is let be where NFS
    is in use."""
    found = [str(each) for each in legacy.services if each.name not in policy.services_allowed]
    expect(found, equals=[], what="old network services")
    if legacy.doubts:
        raise Unknown(legacy.doubts[0])


@control(
    title="No compiler is at everybody's hand",
    severity="low",
    level=2,
    fix="Remove the compilers (apt-get purge gcc g++ clang), or chmod o-x them; build images on "
    "hosts that are for building.",
)
def test_compilers(compilers: Compilers, role: Role) -> None:
    """Exploits of the kernel come as source, fitted to the kernel at hand. A host that runs
    containers builds nothing, so whoever gets an ordinary account on it should have to bring a
    compiler along. It slows an intruder down and does not stop one."""
    if not compilers.paths:
        expect([], equals=[], what="compilers that everybody may run")
        return
    if BUILD_HOST in role:
        raise NotApplicable("this host is for building")
    if compilers.modules:
        raise Manual(
            "whether the compilers, which DKMS needs for kernel modules, may be for everybody",
            list(compilers.paths),
        )
    expect(list(compilers.paths), equals=[], what="compilers that everybody may run")
