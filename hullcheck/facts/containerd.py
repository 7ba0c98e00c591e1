"""containerd: what each running daemon is set to (containerd-config.toml(5), docs/cri/config.md).

Formats 1, 2 and 3 of the file name the parts of the CRI plugin differently; what is asked here has
one name. Values in effect (sockets, modes) are asked of the kernel.
"""

from __future__ import annotations

import fnmatch
import posixpath
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.bundles import LIST, Bundle
from hullcheck.facts.engines import DEFAULT_PROFILE, UNCONFINED, Told, engine_kind
from hullcheck.facts.files import Files
from hullcheck.facts.hosts_toml import Hosts, inline, parse_hosts
from hullcheck.facts.processes import Processes
from hullcheck.facts.registry import fact, get, provide_each
from hullcheck.facts.toml_daemon import Settings, TomlDaemon, TomlFile, running, wants
from hullcheck.transport import read, session_of

__all__ = ["IMAGES", "Containerd", "containerd", "merge"]

CRI = "io.containerd.grpc.v1.cri"
RUNTIME, IMAGES = "io.containerd.cri.v1.runtime", "io.containerd.cri.v1.images"
SPLIT = 3
"""The format, of containerd 2, that has the CRI plugin in three parts."""

USUAL = ("/etc/containerd/config.toml", "/var/run/docker/containerd/containerd.toml")
"""Files that nearly every containerd is set by; to ask for them early saves a round."""

DROP_INS = "/etc/containerd/conf.d/*.toml"
"""What releases from 2.2 on import unless the file says otherwise."""

CERTIFICATES = "/etc/containerd/certs.d"

KUBELETS = frozenset(
    ("kubelet", "kubelite", "k3s", "k3s-server", "k3s-agent", "k0s", "rke2", "crictl")
)
"""Programs that are a kubelet, or have one in them."""

PODS = "k8s.io"
"""The namespace of what the CRI plugin starts."""

IMPORTS = 10
"""How deep files may import others."""


class Containerd(TomlDaemon):
    """One running containerd; Docker's own is one too."""

    default_file = "/etc/containerd/config.toml"

    @fact
    def settings(self) -> Settings:
        first = self.read([self.absolute(self.config_file)])
        known = self._with_imports(first)
        ways = [known]
        if first[0].path == self.default_file and "imports" not in first[0].values:
            dropped = self._matches(DROP_INS)
            more = self._with_imports(self.read(dropped)) if dropped else []
            ways += [[*known, *more]] if more else []
        how = ("replace", "merge", "keep")
        variants = tuple(merge(files, each) for files in ways for each in how)
        return Settings(tuple(ways[-1]), variants)

    def _with_imports(self, first: list[TomlFile]) -> list[TomlFile]:
        found = {each.path: each for each in first}
        todo = first
        for _ in range(IMPORTS):
            paths = [path for each in todo for path in self._imports(each) if path not in found]
            todo = self.read(list(dict.fromkeys(paths))) if paths else []
            found |= {each.path: each for each in todo}
        if todo:
            raise Unknown(f"{first[0].path} imports files that import files without end")
        return list(found.values())

    def _imports(self, file: TomlFile) -> Iterator[str]:
        listed = file.values.get("imports") or []
        if not isinstance(listed, list):
            raise Unknown(f"imports in {file.path} is no list")
        for each in map(str, listed):
            path = posixpath.normpath(posixpath.join(posixpath.dirname(file.path), each))
            yield from self._matches(path) if "*" in path else [path]

    def _matches(self, pattern: str) -> list[str]:
        folder, name = posixpath.split(pattern)
        if "*" in folder:
            raise Unknown(f"{self} imports {pattern}: a pattern of folders is not followed")
        files: Files = get(self.host, "files")
        place = self.seen(folder)
        names = [posixpath.basename(path) for path in files.list(place)]
        return [f"{folder}/{each}" for each in names if fnmatch.fnmatchcase(each, name)]

    @property
    def version(self) -> int:
        """The format of its file; 0 and 1 are the same."""
        return int(self.told(0, "version").value)

    @property
    def address(self) -> str:
        """Where its API listens, as told."""
        said = self.flag("address", "a")
        return said or str(self.told("/run/containerd/containerd.sock", "grpc", "address").value)

    @property
    def directories(self) -> tuple[str, str]:
        """Where it keeps its data and, while it runs, its state."""
        root = self.flag("root") or self.told("/var/lib/containerd", "root").value
        return root, self.flag("state") or self.told("/run/containerd", "state").value

    @property
    def log_level(self) -> Told:
        said = self.flag("log-level", "l")
        told = self.told("", "debug", "level")
        return Told(said, "command line") if said else Told(told.value or "info", told.source)

    # Its CRI plugin, through which a kubelet speaks to it.

    @property
    def serves_cri(self) -> bool:
        """Whether its CRI plugin is loaded."""
        off = {str(each) for each in self.told([], "disabled_plugins").value}
        names = {CRI} if self.version > 1 else {CRI, "cri"}
        return not off & (names | ({RUNTIME} if self.version >= SPLIT else set()))

    @fact
    def unused_cri(self) -> str:
        """Why nobody starts containers through its CRI plugin; empty if somebody does, or might.

        Packages load the plugin for all; beside Docker alone, nothing speaks to it.
        """
        if not self.serves_cri:
            return "its CRI plugin is disabled: its clients decide for themselves"
        processes: Processes = get(self.host, "processes")
        if any(each.name in KUBELETS for each in processes):
            return ""
        pods: list[Bundle] = get(self.host, "bundles")
        if any(each.namespace == PODS for each in pods):
            return ""
        return "its CRI plugin serves nobody: there is no kubelet, and no pod"

    def need_cri(self) -> None:
        """Leave a control that has nothing to say of a containerd without pods."""
        if self.unused_cri:
            raise NotApplicable(self.unused_cri)

    def cri(self, default: Any, *keys: str, part: str = RUNTIME) -> Told:
        """Return a setting of the CRI plugin, by its name in format 3.

        :param part: RUNTIME, IMAGES, or CRI for what serves it.
        """
        self.need_cri()
        return self._cri(default, *keys, part=part)

    def _cri(self, default: Any, *keys: str, part: str) -> Told:
        if self.version < SPLIT:
            part = CRI if self.version > 1 else "cri"
        return self.told(default, "plugins", part, *keys)

    @property
    def default_seccomp(self) -> Told:
        told = self.cri("", "unset_seccomp_profile")
        names = {"": UNCONFINED, "runtime/default": DEFAULT_PROFILE,
                 "docker/default": DEFAULT_PROFILE}  # fmt: skip
        value = str(told.value)
        return Told(names.get(value, value.removeprefix("localhost/")), told.source)

    @property
    def apparmor(self) -> Told:
        """Whether containers get a profile of AppArmor."""
        told = self.cri(False, "disable_apparmor")
        return Told(not told.value, told.source)

    @property
    def selinux(self) -> Told:
        """Whether containers get labels of SELinux."""
        return self.cri(False, "enable_selinux")

    @property
    def stream_server(self) -> tuple[Told, Told]:
        """Where exec, attach and port-forward are served, and whether with TLS."""
        address = self.cri("127.0.0.1", "stream_server_address", part=CRI)
        return address, self.cri(False, "enable_tls_streaming", part=CRI)

    @property
    def streams_with_tls(self) -> bool:
        """Whether its CRI plugin serves streams, and with TLS, to whomever."""
        return self.serves_cri and self._cri(False, "enable_tls_streaming", part=CRI).value is True

    @property
    def runtimes(self) -> Mapping[str, Mapping[str, Any]]:
        """The runtimes that pods can name, by name."""
        found: dict[str, Any] = dict(self.cri({}, "containerd", "runtimes").value)
        default = self.cri("runc", "containerd", "default_runtime_name").value
        if not found:
            found[default] = {}
        if not all(isinstance(each, Mapping) for each in found.values()):
            raise Unknown("a runtime of containerd is not set by a table")
        return found

    @fact
    def _hosts(self) -> Hosts:
        if self.unused_cri:
            # Its other clients, nerdctl for one, look there; ctr looks nowhere.
            files: Files = get(self.host, "files")
            if not files.tree(self.seen(CERTIFICATES)):
                self.need_cri()
            return self._below(CERTIFICATES)
        registry = self.cri({}, "registry", part=IMAGES).value
        known = inline(registry)
        for place in str(registry.get("config_path") or "").split(":"):
            known += self._below(place) if place else Hosts()
        return known

    def _below(self, folder: str) -> Hosts:
        files: Files = get(self.host, "files")
        base = self.seen(folder)
        places = [path for path in files.tree(base) if path.endswith("/hosts.toml")]
        found = Hosts()
        for path in places:
            answer = session_of(self.host).ask(*map(read, places))[places.index(path)]
            if answer.exit:
                raise Unknown(f"{path} cannot be read: {answer.complaint}")
            found += parse_hosts(path, answer.text)
        return found

    @property
    def insecure_registries(self) -> Collection[str]:
        return self._hosts.insecure

    @property
    def mirrors(self) -> Collection[str]:
        return self._hosts.mirrors


def merge(files: Sequence[TomlFile], how: str) -> dict[str, Any]:
    """Merge a file and those that it imports, which count more.

    containerd 1 replaces the whole table of a plugin (``replace``), containerd 2 merges it
    (``merge``), and may keep a value that an empty one comes after (``keep``): mergeConfig in
    cmd/containerd/server/config. Elsewhere an empty value replaces nothing and lists are joined.
    """
    result: dict[str, Any] = {}
    for file in files:
        plugins = {**result.get("plugins", {})}
        given = file.values.get("plugins", {})
        if not isinstance(given, dict):
            raise Unknown(f"plugins in {file.path} is no table")
        for name, table in given.items():
            old = plugins.get(name)
            plugins[name] = table if how == "replace" else _merged(old, table, how == "keep")
        rest = {key: value for key, value in file.values.items() if key != "plugins"}
        result = {**_merged(result, rest, True), "plugins": plugins}
    return result


def _merged(old: Any, new: Any, keep: bool) -> Any:
    if isinstance(old, dict) and isinstance(new, dict):
        both = {key: _merged(old.get(key), value, keep) for key, value in new.items()}
        return {**old, **both}
    if keep and isinstance(old, list) and isinstance(new, list):
        return [*old, *(each for each in new if each not in old)]
    return old if keep and not new and old is not None else new


@provide_each
def containerd(host: Host) -> list[Containerd]:
    """Each containerd that runs on the host, the one that Docker starts included.

    :raises NotApplicable: none runs.
    """
    session_of(host).foresee(LIST, *(each for path in USUAL for each in wants(path)))
    found = [Containerd(host, "containerd", *each) for each in running(host, "containerd")]
    if not found:
        raise NotApplicable("no containerd runs on this host")
    return found


engine_kind("containerd")
