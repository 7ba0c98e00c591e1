"""The files from which k3s, RKE2, k0s and MicroK8s take what they do, and the secrets by which a
node joins; none is read here.

Places: docs.k3s.io and docs.rke2.io (config.yaml, server tokens), docs.k0sproject.io (k0s.yaml,
--token-file), canonical/microk8s (args, credentials). What runs says where its own are.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.files import File, Files
from hullcheck.facts.kubernetes.flags import parse_flags
from hullcheck.facts.kubernetes.microk8s import FILES
from hullcheck.facts.kubernetes.programs import Program
from hullcheck.facts.kubernetes.rancher import Rancher
from hullcheck.facts.podman.places import complaints
from hullcheck.facts.registry import Unseen, fact, get, provide_each
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import CannotAnswer, session_of, want
from hullcheck.verdict import Object

__all__ = ["DistributionFile"]

SNAP = "/var/snap/microk8s/current"
SERVERS = ("/var/lib/rancher/k3s/server", "/var/lib/rancher/rke2/server")
ROOTS = ("/etc/rancher/k3s", "/etc/rancher/rke2", "/etc/k0s", f"{SNAP}/args",
         f"{SNAP}/credentials", *SERVERS, *(f"{each}/cred" for each in SERVERS),
         "/etc/systemd/system")  # fmt: skip
LOOK = want(
    f"find -L {' '.join(ROOTS)} -maxdepth 1 -type f -print -o -name '*.yaml.d'"
    f" -exec find -L {{}} -maxdepth 1 -type f \\; ; echo '{END}'"
)

CONFIG = re.compile(
    r"/etc/rancher/(k3s|rke2)/config\.yaml(\.d/.*\.ya?ml)?|/etc/k0s/[^/]+\.ya?ml"
    rf"|{SNAP}/args/[^/]+"
)
TOKEN = re.compile(
    r".*/server/(token|node-token|agent-token)|.*/server/cred/(passwd|node-passwd)"
    r"|/etc/systemd/system/(k3s|rke2|k0s)[^/]*\.env|/etc/k0s/[^/]*token[^/]*"
    rf"|{SNAP}/credentials/[^/]*(token|basic_auth|known)[^/]*\.(txt|csv)"
)
SECRETS = ("token", "node-token", "agent-token", "cred/passwd")
_MEMBERS = "microk8s"
"""Its members are root: the snap gives them all of the cluster, by design."""


@dataclass(frozen=True)
class DistributionFile:
    """A file.

    :param trusted: the users, beside root, who may read and write it.
    """

    host: Host = field(repr=False)
    path: str
    trusted: frozenset[int] = frozenset({0})

    @property
    def object(self) -> Object:
        return Object("file", self.path)

    def __str__(self) -> str:
        return self.path

    @fact
    def file(self) -> File:
        """It, with the way to it."""
        files: Files = get(self.host, "files")
        return files.get(self.path)


@provide_each
def distribution_config(host: Host) -> list[DistributionFile | Unseen]:
    """Each file of the configuration of k3s, RKE2, k0s or MicroK8s.

    :raises NotApplicable: there is none.
    """
    return _found(host, CONFIG, _configs, "there is no configuration of k3s, RKE2, k0s or MicroK8s")


@provide_each
def join_secret(host: Host) -> list[DistributionFile | Unseen]:
    """Each file with a secret by which a node, or whoever has it, joins a cluster.

    :raises NotApplicable: there is none.
    """
    return _found(host, TOKEN, _tokens, "no secret of k3s, RKE2, k0s or MicroK8s lies here")


Named = Callable[[Host], Iterator[str | Unseen]]


def _found(
    host: Host, wanted: re.Pattern[str], named: Named, none: str
) -> list[DistributionFile | Unseen]:
    session_of(host).foresee(LOOK)
    found: dict[str, DistributionFile | Unseen] = {}
    told = list(named(host))
    snapped = {posixpath.basename(str(each)) for each in told if "/snap/microk8s/" in str(each)}
    for each in (*told, *_listed(host, wanted)):
        if str(each).startswith(f"{SNAP}/args/") and posixpath.basename(str(each)) in snapped:
            continue  # The same file, by the link to the revision that runs.
        if isinstance(each, Unseen):
            found.setdefault(each.object.name, each)
        else:
            trusted = _members(host) if "/snap/microk8s/" in each else frozenset({0})
            found.setdefault(each, DistributionFile(host, each, trusted))
    if not found:
        raise NotApplicable(none)
    return list(found.values())


def _members(host: Host) -> frozenset[int]:
    accounts: Accounts = get(host, "accounts")
    if accounts.group(_MEMBERS) is None:
        return frozenset({0})
    names = accounts.members(_MEMBERS)
    return frozenset({0, *(each.uid for each in accounts.users if each.name in names)})


def _listed(host: Host, wanted: re.Pattern[str]) -> Iterator[str | Unseen]:
    answer = session_of(host).ask(LOOK)[0]
    lines = lines_of(answer)
    if lines[-1:] != [END]:
        raise CannotAnswer("the places of distributions' files were not looked through")
    yield from (line for line in lines[:-1] if wanted.fullmatch(line))
    for place, why in complaints(answer):
        if place == "/" or wanted.fullmatch(place) or _may_hold(place, wanted):
            yield Unseen(Object("file", place), f"{place}: {why}; it may need root")


def _may_hold(place: str, wanted: re.Pattern[str]) -> bool:
    tried = ("config.yaml", "config.yaml.d/x.yaml", "x.yaml", "kubelet", *SECRETS, "passwd",
             "known_tokens.csv", "x-token", "args/kubelet", "credentials/known_tokens.csv",
             "server/token", "k3s.service.env")  # fmt: skip
    return any(wanted.fullmatch(posixpath.join(place, each)) for each in tried)


def _programs(host: Host) -> list[Program]:
    found: list[Program] = get(host, "kubernetes_programs")
    return found


def _ranchers(host: Host) -> list[Rancher | Unseen]:
    try:
        found: list[Rancher | Unseen] = get(host, "rancher")
    except NotApplicable:
        return []
    return found


def _configs(host: Host) -> Iterator[str | Unseen]:
    for each in _ranchers(host):
        yield from [each] if isinstance(each, Unseen) else each.options.files
    for program in _programs(host):
        flags = parse_flags(program.words[1:])
        if program.name == "kubelite":
            paths = (flags.last(each) for each in FILES.values())
            yield from (program.seen(path) for path in paths if path)
        elif program.name == "k0s":
            path = flags.last("config") or flags.last("c")
            if path and path != "-":
                yield program.seen(path)


def _tokens(host: Host) -> Iterator[str | Unseen]:
    files: Files = get(host, "files")
    for each in _ranchers(host):
        if isinstance(each, Unseen):
            yield each
            continue
        base, program = f"{each.options.data_dir}/server", each.program
        told = (each.options.flags.last(name) for name in ("token-file", "agent-token-file"))
        yield from (program.seen(path) for path in told if path)
        if each.server and base not in SERVERS:
            known = files.all([program.seen(f"{base}/{name}") for name in SECRETS])
            yield from (file.path for file in known if file.state == "denied" or file.exists)
    for program in _programs(host):
        path = parse_flags(program.words[1:]).last("token-file")
        if program.name == "k0s" and path:
            yield program.seen(path)
