"""The controller manager and the scheduler: how they run, and what they answer."""

from __future__ import annotations

import ipaddress

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts import foreign_yaml as yaml
from hullcheck.facts.files import Files
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.flags import truth
from hullcheck.facts.kubernetes.places import text_of
from hullcheck.facts.registry import get
from hullcheck.facts.sockets import InetListener, sockets_of

EVERYWHERE = str(ipaddress.IPv4Address(0))
"""What the components listen on unless told (apiserver, options/serving.go)."""

MANAGER_PORT, SCHEDULER_PORT = 10257, 10259
HEALTH = ("/healthz", "/readyz", "/livez")
PODS_KEPT = 12500
ROTATION = "RotateKubeletServerCertificate"


@control(
    title="The controller manager serves no profiles of itself",
    severity="low",
    fix="Add --profiling=false to the command in kube-controller-manager.yaml.",
)
def test_controller_manager_profiling(controller_manager: Component) -> None:
    """Profiles are served unless they are turned off. They show what the program has in memory
    and how it works, and taking one slows it down; nobody needs them until something is wrong."""
    shown = controller_manager.flags.flag("profiling")
    expect(shown is not False, equals=False, what="--profiling")


@control(
    title="The scheduler serves no profiles of itself",
    severity="low",
    fix="Add --profiling=false to the command in kube-scheduler.yaml; where --config names a "
    "file, set enableProfiling: false in that file instead.",
)
def test_scheduler_profiling(scheduler: Component) -> None:
    """Profiles are served unless they are turned off, and slow the scheduler down. With --config
    the file alone counts: the flag is then ignored (cmd/kube-scheduler/app/options), though it
    stands on the command line."""
    path = scheduler.flags.last("config")
    if not path:
        expect(scheduler.flags.flag("profiling") is not False, equals=False, what="--profiling")
        return
    content = text_of(scheduler.program, path)
    if content is None:
        raise Unknown(f"{path}, which the scheduler was started with, is gone")
    found = yaml.documents(content, path)
    said = yaml.text(yaml.at(found[0], "enableProfiling")) if found else ""
    shown = truth(said, f"enableProfiling in {path}") if said else True
    expect(shown, equals=False, what=f"enableProfiling in {path}")


@control(
    title="The controller manager answers on this node alone",
    severity="medium",
    fix="Set --bind-address=127.0.0.1 in kube-controller-manager.yaml.",
)
def test_controller_manager_address(controller_manager: Component) -> None:
    """Nobody elsewhere has to ask it anything, save who gathers metrics and can do so from the
    node. Unless told, it listens on all addresses. What the kernel says counts beside the
    flag."""
    _expect_local(controller_manager, MANAGER_PORT)


@control(
    title="The scheduler answers on this node alone",
    severity="medium",
    fix="Set --bind-address=127.0.0.1 in kube-scheduler.yaml.",
)
def test_scheduler_address(scheduler: Component) -> None:
    """Nobody elsewhere has to ask it anything, save who gathers metrics and can do so from the
    node. Unless told, it listens on all addresses. What the kernel says counts beside the
    flag."""
    _expect_local(scheduler, SCHEDULER_PORT)


def _expect_local(component: Component, usual: int) -> None:
    port = _number(component, "secure-port", usual)
    alone = component.name == component.program.name
    if not port and not alone:
        raise NotApplicable(f"{component} serves nothing: --secure-port is 0")
    address = component.flags.last("bind-address") or EVERYWHERE
    if port:
        far = [] if _loopback(address) else [address]
        expect(far, equals=[], what="--bind-address beyond this node")
    pid = component.program.process.pid
    held = [
        each
        for each in sockets_of(component.host, pid).tcp
        if not each.loopback and (alone or each.port == port) and _holds(each, pid, port)
    ]
    shown = sorted(map(str, held))
    expect(shown, equals=[], what=f"where {component} listens beyond this node")


def _holds(listener: InetListener, pid: int, port: int) -> bool:
    """Whether a process holds a socket; of its own port, if nobody else is known to."""
    owners = listener.owners
    return pid in owners or (not owners and listener.port == port)


def _loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        raise Unknown(f"--bind-address is {address[:80]!r}, which is no address") from None


def _number(component: Component, flag: str, default: int) -> int:
    text = component.flags.last(flag)
    try:
        return default if text is None else int(text[:20])
    except ValueError:
        raise Unknown(f"--{flag} is {text!r}, which is no number") from None


@control(
    title="The controller manager tells nothing but its health without login",
    severity="medium",
    fix="Drop --authorization-always-allow-paths, or leave /healthz, /readyz and /livez in it.",
)
def test_controller_manager_open_paths(controller_manager: Component) -> None:
    """Paths that are always allowed are answered to everybody who reaches the port: metrics tell
    of the cluster's size, users and faults, and a pattern may open all."""
    _expect_health(controller_manager)


@control(
    title="The scheduler tells nothing but its health without login",
    severity="medium",
    fix="Drop --authorization-always-allow-paths, or leave /healthz, /readyz and /livez in it.",
)
def test_scheduler_open_paths(scheduler: Component) -> None:
    """Paths that are always allowed are answered to everybody who reaches the port: metrics tell
    of the cluster's size and of where pods run, and a pattern may open all."""
    _expect_health(scheduler)


def _expect_health(component: Component) -> None:
    paths = component.flags.listed("authorization-always-allow-paths") or list(HEALTH)
    expect(paths, within=HEALTH, what="--authorization-always-allow-paths")


@control(
    title="Each controller has a service account of its own",
    severity="medium",
    fix="Add --use-service-account-credentials=true to kube-controller-manager.yaml.",
)
def test_controller_credentials(controller_manager: Component) -> None:
    """Without it all controllers act as the controller manager itself: roles cannot part them, and
    the audit log does not tell which of them did something. It is off unless told."""
    shown = controller_manager.flags.flag("use-service-account-credentials")
    expect(shown is True, equals=True, what="--use-service-account-credentials")


@control(
    title="Service accounts have a signing key of their own, and pods the API's authority",
    severity="high",
    fix="Set --service-account-private-key-file to a key made for that alone (kubeadm: "
    "/etc/kubernetes/pki/sa.key) and --root-ca-file to the API server's authority.",
)
def test_service_account_files(controller_manager: Component) -> None:
    """A token is as good as the key it is signed with: if that is the cluster's authority, one
    leak gives both. Without the root certificate pods cannot tell the API server from whoever
    poses as it, and send their tokens to either."""
    flags = controller_manager.flags
    files: Files = get(controller_manager.host, "files")
    off = {"-serviceaccount-token", "-serviceaccount-token-controller"}
    signs = not off & set(flags.listed("controllers") or ())
    for flag in ("service-account-private-key-file",) * signs + ("root-ca-file",):
        path = flags.last(flag) or ""
        there = bool(path) and files.get(controller_manager.program.seen(path)).exists
        expect(there, equals=True, what=f"whether there is a file for --{flag}")
    key = flags.last("service-account-private-key-file")
    signing = flags.last("cluster-signing-key-file")
    same = bool(key) and key == signing
    expect(same, equals=False, what="whether tokens are signed with the authority's key")


@control(
    title="Kubelets may have their serving certificates renewed",
    severity="medium",
    fix=f"Drop {ROTATION}=false (and AllBeta=false) from --feature-gates of the controller "
    "manager.",
)
def test_serving_certificate_rotation(controller_manager: Component) -> None:
    """Where this is off, kubelets cannot get certificates of the cluster's authority for what they
    serve, and whoever speaks with them cannot tell who answers. It is on unless turned off;
    AllBeta=false turns it off too."""
    gates = controller_manager.flags.pairs("feature-gates")
    said = gates.get(ROTATION, gates.get("AllBeta", "true"))
    expect(truth(said, ROTATION), equals=True, what=f"feature gate {ROTATION}")


@control(
    title="Pods that have ended are cleared away",
    severity="low",
    fix="Set --terminated-pod-gc-threshold to what the cluster can bear (12500 unless told), above "
    "0.",
)
def test_ended_pods_limit(controller_manager: Component) -> None:
    """Who may start pods fills the cluster's database with those that have ended, until it slows
    down or stands still. 0 or less turns the limit off."""
    limit = _number(controller_manager, "terminated-pod-gc-threshold", PODS_KEPT)
    expect(limit, at_least=1, what="--terminated-pod-gc-threshold")
