"""The files that kubelets and kube-proxies rest on: those that running ones name, and those in the
usual places (kubeadm, k3s, RKE2, MicroK8s, k0s).

What a process in a container sees is mounted there: who may pass which directories is decided on
the host's own way to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.docker.units import Unit, unit_named
from hullcheck.facts.docker.units import wants as unit_wants
from hullcheck.facts.files import File, Files
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.kubelet_places import (
    CONFIGS,
    ENVIRONMENTS,
    KUBECONFIGS,
    PROXY_KUBECONFIGS,
    UNIT,
    KubeletPlaces,
)
from hullcheck.facts.kubernetes.kubelet_settings import KubeletSettings
from hullcheck.facts.kubernetes.programs import Program
from hullcheck.facts.kubernetes.proxy_settings import ProxySettings
from hullcheck.facts.mounts import MountTable, names_of, parse_mountinfo, place_of
from hullcheck.facts.registry import Unseen, fact, get, provide_each
from hullcheck.transport import CannotAnswer, Pending, Want, session_of, want
from hullcheck.verdict import Object

__all__ = ["KubeletFile"]

Found = list["KubeletFile | Unseen"]
Settings = KubeletSettings | ProxySettings


@dataclass(frozen=True, eq=False)
class KubeletFile:
    """A file or directory.

    :param path: as the program sees it that names it, or as the host does.
    :param program: the one that names it; None for what lies in a usual place.
    """

    host: Host = field(repr=False)
    path: str
    program: Program | None = None

    @property
    def object(self) -> Object:
        return Object("file", self.path)

    def __str__(self) -> str:
        return self.path

    @property
    def trusted(self) -> frozenset[int]:
        """The users who may use it: root, and the one that the program runs as."""
        return frozenset({0} | ({self.program.process.uids[1]} if self.program else set()))

    @fact
    def file(self) -> File:
        """It, as its program reaches it."""
        files: Files = get(self.host, "files")
        return files.get(self.program.seen(self.path) if self.program else self.path)

    @fact
    def names(self) -> list[File]:
        """It under each name that the host has for it: each is a way to it.

        :raises NotApplicable: there is no such file. :raises Unknown: it cannot be seen.
        """
        found = self.file
        _ = found.present
        root = self.program.root if self.program else ""
        if not root or self.program is None:
            return [found]
        inside = parse_mountinfo(session_of(self.host).ask(_mounts(self.program))[0].text)
        outside: MountTable = get(self.host, "mounts")
        place = place_of(inside, found.resolved.removeprefix(root) or "/")
        files: Files = get(self.host, "files")
        tried = files.all(dict.fromkeys(names_of(outside, place))) if place else []
        return [each for each in tried if _same(each, found)] or [found]


def _mounts(program: Program) -> Want:
    return want(f"cat /proc/{program.process.pid}/mountinfo")


def _same(one: File, other: File) -> bool:
    if one.state != "present" or other.state != "present":
        return False
    mine, theirs = one.present, other.present
    return (mine.device, mine.inode) == (theirs.device, theirs.inode)


def _named(host: Host, fact_name: str, paths: Callable[..., Iterable[str]]) -> Found:
    """Return what the settings of running programs name; [] if none runs."""
    try:
        running = get(host, fact_name)
    except NotApplicable:
        return []
    found: dict[str, KubeletFile | Unseen] = {}
    pending = False
    for each in running:
        if isinstance(each, Unseen):
            found[each.object.id] = each
            continue
        program = (each.kubelet if isinstance(each, KubeletSettings) else each.proxy).program
        try:
            for path in paths(each):
                place = program.seen(path)
                found.setdefault(place, KubeletFile(host, program.absolute(path), program))
        except Pending:
            pending = True
        except (Unknown, CannotAnswer) as doubt:
            about = Object("file", f"others that {each} uses")
            found[about.name] = Unseen(about, str(doubt))
    if pending:
        raise Pending
    return list(found.values())


def _usual(host: Host, paths: Iterable[str]) -> Iterator[KubeletFile | Unseen]:
    places: KubeletPlaces = get(host, "kubelet_places")
    wanted = tuple(paths)
    yield from (KubeletFile(host, each) for each in places.existing(wanted))
    for path, why in places.hidden(wanted):
        yield Unseen(Object("file", path), why)


def _all(none: str, *parts: Iterable[KubeletFile | Unseen]) -> Found:
    made: dict[str, KubeletFile | Unseen] = {}
    for part in parts:
        for each in part:
            made.setdefault(f"{each.object.name} {each.object.id}", each)
    if not made:
        raise NotApplicable(none)
    return list(made.values())


def _unit_of(component: Component) -> str:
    """Return the unit in which a component runs, and not in a container; empty if in none."""
    for path in component.program.process.cgroups.values():
        told = re.fullmatch(r"/system\.slice/([^/]+\.service)(/[^/]+)?", path)
        if told:
            return told[1]
    return ""


@provide_each
def kubelet_unit_file(host: Host) -> Found:
    """Each unit that runs a kubelet, or would, its drop-ins, and the files of its environment.

    :raises NotApplicable: there is none.
    """
    places: KubeletPlaces = get(host, "kubelet_places")
    names = dict.fromkeys([UNIT] if places.unit else [])
    try:
        running: list[Component | Unseen] = get(host, "kubelet")
    except NotApplicable:
        running = []
    names |= dict.fromkeys(filter(None, (
        _unit_of(each) for each in running if isinstance(each, Component)
    )))  # fmt: skip
    session_of(host).foresee(*(each for name in names for each in unit_wants(name)))
    found: list[str] = []
    for name in names:
        unit: Unit | None = unit_named(host, name)
        found += unit.files if unit else []
        said = unit.properties.get("EnvironmentFiles", "") if unit else ""
        found += [line.split(" (ignore_errors")[0] for line in said.splitlines() if line]
    files: Files = get(host, "files")
    there = [path for path in dict.fromkeys(found) if files.get(path).state != "absent"]
    return _all(
        "no unit runs a kubelet here",
        (KubeletFile(host, each) for each in there),
        _usual(host, ENVIRONMENTS),
        (each for each in running if isinstance(each, Unseen)),
    )


@provide_each
def kubelet_config_file(host: Host) -> Found:
    """Each file that a kubelet takes its settings from, and the folder of its drop-ins.

    Without a kubelet that runs, the usual one. :raises NotApplicable: there is none.
    """

    def paths(each: KubeletSettings) -> Iterator[str]:
        root = each.kubelet.program.root or ""
        yield from (path.removeprefix(root) for path in each.files)
        if each.config_dir:
            yield each.config_dir

    found = _named(host, "kubelet_settings", paths)
    try:
        runs = bool(get(host, "kubelet"))
    except NotApplicable:
        runs = False
    return _all("no kubelet here has a file of settings", found,
                [] if runs else _usual(host, CONFIGS))  # fmt: skip


@provide_each
def kubelet_kubeconfig(host: Host) -> Found:
    """Each kubeconfig of a kubelet. :raises NotApplicable: there is none."""

    def paths(each: KubeletSettings) -> Iterator[str]:
        flags = each.kubelet.flags
        yield from filter(None, (flags.last("kubeconfig"), flags.last("bootstrap-kubeconfig")))

    found = [
        each for each in _named(host, "kubelet_settings", paths)
        if isinstance(each, Unseen) or each.file.state != "absent"
    ]  # fmt: skip
    return _all("there is no kubeconfig of a kubelet", found, _usual(host, KUBECONFIGS))


@provide_each
def kubelet_key(host: Host) -> Found:
    """Each file in which a kubelet has a private key of its own.

    :raises NotApplicable: there is none.
    """

    def paths(each: KubeletSettings) -> Iterator[str]:
        files: Files = get(host, "files")
        program = each.kubelet.program
        for path in files.list(program.seen(each.cert_dir)):
            if path.endswith((".pem", ".key")):
                yield path.removeprefix(program.root or "")
        if key := each.path("tlsPrivateKeyFile"):
            yield key

    return _all("no kubelet here has a key", _named(host, "kubelet_settings", paths))


@provide_each
def kubelet_client_ca(host: Host) -> Found:
    """Each file of those who vouch for a kubelet's clients.

    :raises NotApplicable: there is none.
    """

    def paths(each: KubeletSettings) -> Iterator[str]:
        if authority := each.path("authentication.x509.clientCAFile"):
            yield authority

    return _all("no kubelet here has an authority for its clients",
                _named(host, "kubelet_settings", paths))  # fmt: skip


@provide_each
def proxy_kubeconfig(host: Host) -> Found:
    """Each kubeconfig of a kube-proxy. :raises NotApplicable: there is none."""

    def paths(each: ProxySettings) -> Iterator[str]:
        if each.kubeconfig:
            yield each.kubeconfig

    return _all("there is no kubeconfig of a kube-proxy", _named(host, "proxy_settings", paths),
                _usual(host, PROXY_KUBECONFIGS))  # fmt: skip


@provide_each
def proxy_config_file(host: Host) -> Found:
    """Each file of settings of a kube-proxy. :raises NotApplicable: there is none."""

    def paths(each: ProxySettings) -> Iterator[str]:
        if each.config:
            yield each.config

    return _all("no kube-proxy here has a file of settings",
                _named(host, "proxy_settings", paths))  # fmt: skip


@provide_each
def static_pod_directory(host: Host) -> Found:
    """Each directory whose pods a kubelet starts by itself.

    :raises NotApplicable: there is none.
    """

    def paths(each: KubeletSettings) -> Iterator[str]:
        if place := each.path("staticPodPath"):
            yield place

    return _all("no kubelet here starts pods of a directory",
                _named(host, "kubelet_settings", paths))  # fmt: skip
