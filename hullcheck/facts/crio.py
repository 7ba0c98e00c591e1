"""CRI-O: what the running daemon is set to (crio.conf(5), crio(8)).

The command line counts more than the environment (``CONTAINER_…``), that more than the drop-ins in
their order, those more than the file.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import User
from hullcheck.facts.docker.command_line import boolean
from hullcheck.facts.engines import DEFAULT_PROFILE, UNCONFINED, Told, engine_kind
from hullcheck.facts.files import Files
from hullcheck.facts.podman.places import Places
from hullcheck.facts.podman.registries import Registries, read_registries
from hullcheck.facts.podman.signatures import Signatures, parse_policy, read_signatures
from hullcheck.facts.registry import fact, get, provide_each
from hullcheck.facts.toml_daemon import SLACK, Settings, TomlDaemon, TomlFile, running
from hullcheck.transport import session_of, want

__all__ = ["Crio", "crio", "merge"]

BOOLEANS = (
    "add-inheritable-capabilities", "auto-reload-registries", "blockio-reload",
    "device-ownership-from-security-context", "disable-hostport-mapping", "drop-infra-ctr",
    "enable-criu-support", "enable-metrics", "enable-nri", "enable-pod-events",
    "enable-profile-unix-socket", "enable-tracing", "hostnetwork-disable-selinux",
    "internal-repair", "internal-wipe", "log-journald", "no-pivot", "nri-disable-connections",
    "oci-artifact-mount-support", "profile", "read-only", "selinux", "stream-enable-tls",
    "help", "h", "version", "v",
)  # fmt: skip
"""Flags of crio(8) that stand without a value."""

CAPABILITIES = (
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL",
    "CAP_NET_BIND_SERVICE", "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID",
)  # fmt: skip
"""Those of a container without a setting; crio.conf(5)."""

DEVICES = ("/dev/fuse", "/dev/net/tun")
"""The devices that a pod may ask for without a setting; cri-o, pkg/config."""

POLICIES = "/etc/crio/policies"
"""Where it looks for policies of single namespaces, without a setting."""

_ROOT = User("root", 0, 0, "/root", "/bin/sh")


class Crio(TomlDaemon):
    """One running CRI-O."""

    default_file = "/etc/crio/crio.conf"
    unused_cri = ""
    """It is there for nothing else."""

    @property
    def drop_ins(self) -> str:
        """The folder of drop-ins; every file in it counts, whatever its name."""
        named = self.flag("config-dir", "d") or self.environment.get("CONTAINER_CONFIG_DIR")
        return named or "/etc/crio/crio.conf.d"

    @fact
    def settings(self) -> Settings:
        folder = self.absolute(self.drop_ins)
        place = self.seen(folder)
        files: Files = get(self.host, "files")
        below = [folder + each[len(place) :] for each in files.tree(place)]
        listed = files.all(self.seen(each) for each in below)
        plain = [
            path for path, file in zip(below, listed, strict=True)
            if file.exists and file.kind == "file"
        ]  # fmt: skip
        first = self.config_file
        if not self.flag("config", "c"):
            first = self.environment.get("CONTAINER_CONFIG") or first
        found = self.read([self.absolute(first), *plain])
        return Settings(tuple(found), (merge(found),))

    @property
    def stale(self) -> str:
        """As of any daemon; a drop-in that is gone has changed its folder."""
        folder = self.absolute(self.drop_ins)
        files: Files = get(self.host, "files")
        found = files.get(self.seen(folder))
        if found.exists and found.mtime > self.process.started + SLACK:
            return f"{folder} was changed after {self.kind} started; restart it"
        return super().stale

    @fact
    def environment(self) -> dict[str, str]:
        """What of its environment are settings. :raises Unknown: it cannot be read."""
        path = f"/proc/{self.process.pid}/environ"
        command = "tr '\\0' '\\n' <%s | grep -aE '^CONTAINER_[A-Z_]+='"
        answer = session_of(self.host).ask(want(command, path, meaning=(0, 1, 2)))[0]
        if answer.complaint:
            raise Unknown(f"the environment of process {self.process} cannot be read (needs root)")
        return dict(line.partition("=")[::2] for line in answer.text.splitlines())

    def setting(self, default: Any, table: str, name: str, flag: str = "") -> Told:
        """Return a setting in effect; its default's type decides how text is read.

        :param flag: the name of its flag, if it is not the setting's with dashes.
        :raises Unknown: it cannot be read.
        """
        flag = flag or name.replace("_", "-")
        values = self.flags.get(flag)
        if values:
            return Told(_read(values, default, flag), "command line")
        variable = f"CONTAINER_{flag.replace('-', '_').upper()}"
        if variable in self.environment:
            return Told(_read([self.environment[variable]], default, flag), variable)
        return self.told(default, "crio", table, name)

    @property
    def directories(self) -> tuple[str, str]:
        """Where it keeps its data and its state; containers-storage.conf(5) may say otherwise."""
        root = self.told("", "crio", "root").value or "/var/lib/containers/storage"
        state = self.told("", "crio", "runroot").value or "/run/containers/storage"
        return self.flag("root", "r") or root, self.flag("runroot") or state

    @property
    def log_level(self) -> Told:
        return self.setting("info", "runtime", "log_level")

    @property
    def default_seccomp(self) -> Told:
        told = self.setting("", "runtime", "seccomp_profile")
        empty = self.setting(False, "runtime", "seccomp_use_default_when_empty")
        if empty.source == "default":
            raise Unknown(
                "it depends on CRI-O's release what a container gets that names no profile"
            )
        if not empty.value:
            return Told(UNCONFINED, f"seccomp_use_default_when_empty, {empty.source}")
        return Told(told.value or DEFAULT_PROFILE, told.source)

    @property
    def default_capabilities(self) -> Told:
        told = self.setting([], "runtime", "default_capabilities")
        names = {f"CAP_{str(each).upper().removeprefix('CAP_')}" for each in told.value}
        named = names or set(CAPABILITIES)
        return Told(sorted("ALL" if each == "CAP_ALL" else each for each in named), told.source)

    @property
    def default_pids_limit(self) -> Told:
        told = self.setting(-1, "runtime", "pids_limit")
        if told.value <= 0:
            raise NotApplicable("CRI-O leaves the limit of processes to the kubelet")
        return told

    @property
    def default_ulimits(self) -> Told:
        told = self.setting([], "runtime", "default_ulimits")
        return Told(dict(_limit(str(each)) for each in told.value), told.source)

    @property
    def apparmor(self) -> Told:
        """Whether containers get a profile of AppArmor."""
        told = self.setting("crio-default", "runtime", "apparmor_profile")
        return Told(told.value != UNCONFINED, told.source)

    @property
    def selinux(self) -> Told:
        """Whether containers get labels of SELinux."""
        return self.setting(False, "runtime", "selinux")

    @property
    def stream_server(self) -> tuple[Told, Told]:
        """Where exec, attach and port-forward are served, and whether with TLS."""
        address = self.setting("127.0.0.1", "api", "stream_address")
        return address, self.setting(False, "api", "stream_enable_tls")

    @fact
    def _registries(self) -> Registries:
        places: Places = get(self.host, "podman_places")
        return read_registries(places, _ROOT)

    @property
    def short_names(self) -> Registries:
        found = self._registries
        mode = str(self.setting("", "image", "short_name_mode").value) or "enforcing"
        return replace(found, mode=mode)

    @fact
    def signatures(self) -> Signatures:
        """The policy by which it takes images. :raises NotApplicable: there is none."""
        places: Places = get(self.host, "podman_places")
        path = str(self.setting("", "image", "signature_policy").value)
        own = parse_policy(path, self.profile(path)) if path else read_signatures(places, _ROOT)
        return sum(self._of_namespaces(), own)

    def _of_namespaces(self) -> Iterator[Signatures]:
        """Yield the policies that count for the pods of a namespace; crio.conf(5)."""
        folder = str(self.setting(POLICIES, "image", "signature_policy_dir").value)
        files: Files = get(self.host, "files")
        place = self.seen(folder)
        for path in files.list(place):
            if path.endswith(".json"):
                seen = folder + path[len(place) :]
                yield parse_policy(seen, self.profile(seen))

    @property
    def devices(self) -> Told:
        """What of the host's devices pods can ask for, or all are given."""
        allowed = self.setting(list(DEVICES), "runtime", "allowed_devices")
        given = self.setting([], "runtime", "additional_devices")
        found = {str(each).partition(":")[0] for each in (*allowed.value, *given.value)}
        sources = dict.fromkeys((allowed.source, given.source))
        return Told(sorted(found), ", ".join(sources))

    @property
    def insecure_registries(self) -> Collection[str]:
        own = self.setting([], "image", "insecure_registries", "insecure-registry").value
        return [*map(str, own), *self._registries.insecure]

    @property
    def mirrors(self) -> Collection[str]:
        return self._registries.mirrors


def merge(files: Collection[TomlFile]) -> Mapping[str, Any]:
    """Merge the file and its drop-ins: a later value replaces an earlier one, a list too."""
    result: dict[str, Any] = {}
    for file in files:
        result = _over(result, file.values)
    return result


def _over(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    made = dict(old)
    for key, value in new.items():
        known = made.get(key)
        if isinstance(known, Mapping) and isinstance(value, Mapping):
            made[key] = _over(known, value)
        else:
            made[key] = value
    return made


def _read(values: list[str], default: Any, name: str) -> Any:
    """Return a flag's values as what the file would hold."""
    if isinstance(default, bool):
        return boolean(values[-1])
    if isinstance(default, list):
        return [part.strip() for each in values for part in each.split(",") if part.strip()]
    if isinstance(default, int):
        if not re.fullmatch(r"-?\d+", values[-1]):
            raise Unknown(f"--{name} is no number")
        return int(values[-1])
    return values[-1]


def _limit(text: str) -> tuple[str, int]:
    """Return name and hard limit of ``nofile=1024:2048``."""
    found = re.fullmatch(r"(\w+)=(?:-?\d+:)?(-?\d+)", text)
    if not found:
        raise Unknown(f"a default ulimit is {text[:40]!r}")
    return found[1].lower(), int(found[2])


@provide_each
def crio(host: Host) -> list[Crio]:
    """Each CRI-O that runs on the host.

    :raises NotApplicable: none runs.
    """
    found = [Crio(host, "cri-o", *each) for each in running(host, "crio", BOOLEANS)]
    if not found:
        raise NotApplicable("no CRI-O runs on this host")
    return found


engine_kind("crio")
