"""k3s: every component in one process, whose title hides the arguments of all of them.

k3s replaces its command line by ``k3s server`` or ``k3s agent``, as a token may stand in it. What
it goes by is what its unit starts it with, over what stands in its configuration files, over what
k3s gives each component by itself (k3s, pkg/configfilearg, pkg/daemons/control/server.go and
pkg/daemons/agent). A server of RKE2 keeps its configuration likewise, and runs its components as
programs of their own.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.conf_files import conf_files, conf_want
from hullcheck.facts.foreign_yaml import documents, items, keys, text
from hullcheck.facts.kubernetes.flags import Flags, parse_flags
from hullcheck.facts.kubernetes.k3s_arguments import given
from hullcheck.facts.kubernetes.programs import Program
from hullcheck.facts.kubernetes.starts import Start, start_of
from hullcheck.transport import session_of, want

__all__ = ["Options", "components", "is_tool", "options_of"]

EXTRA = {
    "kube-apiserver": "kube-apiserver-arg", "kube-controller-manager":
    "kube-controller-manager-arg", "kube-scheduler": "kube-scheduler-arg", "etcd": "etcd-arg",
    "kubelet": "kubelet-arg", "kube-proxy": "kube-proxy-arg",
}  # fmt: skip
"""Where the site's own arguments of a component stand."""

SHORT = {"c": "config", "d": "data-dir", "t": "token", "s": "server", "i": "node-ip"}
VARIABLES = {"K3S_CONFIG_FILE": "config", "K3S_DATA_DIR": "data-dir", "RKE2_CONFIG_FILE": "config",
             "RKE2_DATA_DIR": "data-dir", "K3S_DATASTORE_ENDPOINT": "datastore-endpoint",
             "K3S_KUBECONFIG_MODE": "write-kubeconfig-mode", "RKE2_KUBECONFIG_MODE":
             "write-kubeconfig-mode", "K3S_KUBECONFIG_OUTPUT": "write-kubeconfig",
             "RKE2_KUBECONFIG_OUTPUT": "write-kubeconfig"}  # fmt: skip
"""Variables that say what an option does, for options that are not given (k3s server --help)."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a k3s or RKE2 was told.

    :param verb: server or agent.
    :param files: the configuration files that it reads, as the host finds them.
    :param start: how it was started.
    """

    verb: str
    flags: Flags
    files: tuple[str, ...]
    start: Start
    data_dir: str

    def on(self, name: str) -> bool:
        """Whether a switch is on. :raises Unknown: it says neither."""
        return bool(self.flags.flag(name))


def is_tool(program: Program) -> bool:
    """Whether one is started as one of its tools: ``k3s kubectl``, ``k3s etcd-snapshot``."""
    verb = next((each for each in program.words[1:] if each and not each.startswith("-")), "")
    return bool(verb) and verb not in ("server", "agent")


def options_of(program: Program) -> Options:
    """Return what a process of k3s or RKE2 was told.

    :raises Unknown: how it was started, or a file of its configuration, cannot be read.
    """
    kind = "rke2" if program.name.startswith("rke2") else "k3s"
    start = start_of(program, _PREFIXES[kind])
    verb = next((each for each in start.words[1:] if each in ("server", "agent")), "")
    if not verb:
        raise Unknown(f"whether {program} is a server or an agent cannot be told")
    said = parse_flags(start.words[start.words.index(verb) + 1 :])
    said = Flags({SHORT.get(name, name): values for name, values in said.values.items()})
    told = {VARIABLES[name]: (value,) for name, value in start.settings.items()
            if name in VARIABLES and value}  # fmt: skip
    path = said.last("config") or (told.get("config") or (f"/etc/rancher/{kind}/config.yaml",))[0]
    files, written = _written(program.host, program.seen(path))
    flags = Flags({
        name: (*written.get(name, ()), *said.values.get(name, ()))
        for name in {*written, *said.values}
    }).over(Flags(told))  # fmt: skip
    data_dir = flags.last("data-dir") or f"/var/lib/rancher/{kind}"
    return Options(verb, flags, tuple(files), start, program.absolute(data_dir))


_PREFIXES = {"k3s": "K3S_", "rke2": "RKE2_"}


def _written(host: Host, path: str) -> tuple[list[str], Mapping[str, tuple[str, ...]]]:
    """Return the files of a configuration, and what they say in the order in which they are read:
    a key takes the place of an earlier file's, ``key+`` adds to it."""
    asked = conf_want([path, f"{path}.d"], ["*.yaml", "*.yml", posixpath.basename(path)])
    found = conf_files(host, asked)
    names = [path] * (found.text(path) is not None)
    names += [each for each in found.matching(f"{path}.d/*") if each.endswith((".yaml", ".yml"))]
    said: dict[str, tuple[str, ...]] = {}
    for name in names:
        for document in documents(found.text(name) or "", name)[:1]:
            for key, node in keys(document).items():
                values = tuple(text(each) for each in items(node))
                bare = key.removesuffix("+")
                said[bare] = (*said.get(bare, ()), *values) if bare != key else values
    return names, said


def components(program: Program) -> Iterable[tuple[str, Flags, str]]:
    """Yield each component in a process of k3s, its flags, and what they were taken from.

    Files that a site names for a kubelet, newer ones copy into its folder of drop-ins, and do
    not pass on (k3s, pkg/daemons/agent).

    :raises Unknown: what it was told cannot be read.
    """
    options = options_of(program)
    source = f"{options.start.source} and {', '.join(options.files) or 'no file'}"
    names = _running(program, options)
    # A server that has an etcd uses it, whether or not it is still told to.
    told = Flags({"cluster-init": ("true",)} if "etcd" in names else {}).over(options.flags)
    new_kubelet = _new_kubelet(program, options)
    for name in names:
        built_in = given(name, options.data_dir, told, new_kubelet)
        extra = parse_flags(f"--{each}" for each in options.flags.values.get(EXTRA[name], ()))
        if name == "kubelet" and new_kubelet:
            extra = Flags({flag: value for flag, value in extra.values.items()
                           if flag not in ("config", "config-dir")})  # fmt: skip
        yield name, extra.over(Flags(built_in)), source


def _running(program: Program, options: Options) -> list[str]:
    on = options.on
    names = []
    if options.verb == "server":
        names += ["kube-apiserver"] * (not on("disable-apiserver"))
        names += ["kube-controller-manager"] * (not on("disable-controller-manager"))
        names += ["kube-scheduler"] * (not on("disable-scheduler"))
        outside = options.flags.last("datastore-endpoint") or on("disable-etcd")
        names += ["etcd"] * (not outside and _has_etcd(program, options))
    if options.verb == "agent" or not on("disable-agent"):
        names += ["kubelet", *["kube-proxy"] * (not on("disable-kube-proxy"))]
    return names


def _has_etcd(program: Program, options: Options) -> bool:
    return _there(program, f"{options.data_dir}/server/db/etcd/config")


def _new_kubelet(program: Program, options: Options) -> bool:
    """Whether this k3s gives its kubelet a file of settings in place of flags (from 1.32 on)."""
    folder = f"{options.data_dir}/agent/etc/kubelet.conf.d"
    return _there(program, f"{folder}/00-k3s-defaults.conf")


def _there(program: Program, path: str) -> bool:
    asked = want("stat -c %%F -- %s", program.seen(path), meaning=(0, 1))
    answer = session_of(program.host).ask(asked)[0]
    if answer.exit == 0:
        return True
    if re.search("No such file or directory|Not a directory", answer.complaint):
        return False
    raise Unknown(f"whether {path} exists cannot be seen: {answer.complaint}; it needs root")
