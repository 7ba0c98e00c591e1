"""What lies in the usual places of a kubelet's and a kube-proxy's files, and where tokens by which
nodes join were left: one sweep.

Of tokens only the files are told in which they stand. A bootstrap token is six characters, a dot
and sixteen more (Kubernetes, "Authenticating with Bootstrap Tokens").
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.docker.units import DIRECTORIES
from hullcheck.facts.registry import provide
from hullcheck.transport import session_of, want

__all__ = [
    "BOOTSTRAP", "CONFIGS", "ENVIRONMENTS", "KUBECONFIGS", "PROXY_KUBECONFIGS", "SWEEP", "UNIT",
    "KubeletPlaces", "kubelet_places",
]  # fmt: skip

UNIT = "kubelet.service"
_RANCHER = tuple(f"/var/lib/rancher/{each}/agent" for each in ("k3s", "rke2"))
_SNAP = "/var/snap/microk8s/current/credentials"

BOOTSTRAP = "/etc/kubernetes/bootstrap-kubelet.conf"
KUBECONFIGS = (
    "/etc/kubernetes/kubelet.conf", "/var/lib/kubelet/kubeconfig", "/var/lib/k0s/kubelet.conf",
    *(f"{each}/kubelet.kubeconfig" for each in _RANCHER), f"{_SNAP}/kubelet.config", BOOTSTRAP,
)  # fmt: skip
PROXY_KUBECONFIGS = (
    "/etc/kubernetes/kube-proxy.conf", "/etc/kubernetes/proxy.conf",
    "/var/lib/kube-proxy/kubeconfig", "/var/lib/kube-proxy/kubeconfig.conf",
    *(f"{each}/kubeproxy.kubeconfig" for each in _RANCHER), f"{_SNAP}/proxy.config",
)  # fmt: skip
CONFIGS = ("/var/lib/kubelet/config.yaml",)
ENVIRONMENTS = (
    "/etc/default/kubelet", "/etc/sysconfig/kubelet", "/var/lib/kubelet/kubeadm-flags.env"
)  # fmt: skip

_LEFT = (
    (("/root", "/etc/kubernetes", "/etc/kubeadm", "/var/lib/kubelet"),
     ("*kube*", "*.yaml", "*.yml", "*.json", "*.conf", "*.sh", "*token*")),
    (("/var/lib/cloud/instance", "/var/lib/cloud/instance/scripts"), ("user-data*", "part-*")),
)  # fmt: skip
"""Folders, and names of files in them, that are looked through for tokens."""

END = "= end"
SHAPE = r"(^|[^a-z0-9._/-])[a-z0-9]{6}\.[a-z0-9]{16}([^a-z0-9._/-]|$)"
_LOOK = (
    'for f; do if [ ! -r "$f" ]; then echo "? $f"; '
    f"elif grep -qaE '{SHAPE}' \"$f\" && grep -qaiE 'kubeadm|token' \"$f\"; "
    'then echo "t $f"; fi; done'
)


def _command() -> str:
    units = [f"{place}/{UNIT}" for place in DIRECTORIES]
    wanted = [*units, *KUBECONFIGS, *PROXY_KUBECONFIGS, *CONFIGS, *ENVIRONMENTS]
    drops = [f"{each}.d/*.conf" for each in units]
    found = [f"stat -L -c 'f %n' -- {' '.join([*wanted, *drops])}"]
    for folders, names in _LEFT:
        named = " -o ".join(f"-name {shlex.quote(each)}" for each in names)
        found.append(
            f"find -H {' '.join(folders)} -maxdepth 1 -type f -size -4097 \\( {named} \\)"
            f" -exec sh -c {shlex.quote(_LOOK)} sh {{}} +"
        )
    return f"{'; '.join(found)}; echo '{END}'"


SWEEP = want(_command(), seconds=30)

_ABSENT = ("No such file or directory", "Not a directory", "Too many levels of symbolic links")
_COMPLAINT = re.compile(r"^\w+: (?:[^/]*?['\"`]?)?(/.*?)['\"]?: ([^:]+)$")


@dataclass(frozen=True, slots=True)
class KubeletPlaces:
    """What was found.

    :param tokens: files in which a token to join by stands.
    :param denied: what could not be looked at, and why; ``unread`` files whose text could not.
    """

    there: frozenset[str] = field(repr=False)
    tokens: tuple[str, ...]
    unread: tuple[str, ...]
    denied: tuple[tuple[str, str], ...]

    @property
    def unit(self) -> bool:
        """Whether there is a unit of a kubelet, or a drop-in of one."""
        return any(f"/{UNIT}" in each for each in self.there)

    def existing(self, paths: Iterable[str]) -> list[str]:
        return [path for path in paths if path in self.there]

    def hidden(self, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Yield which of some files could not be looked at, and why."""
        for path in paths:
            for place, why in self.denied:
                if place in ("/", path) or path.startswith(f"{place.rstrip('/')}/"):
                    yield path, f"{path} cannot be seen: {why}; it may need root"
                    break


@provide
def kubelet_places(host: Host) -> KubeletPlaces:
    """What lies there. :raises Unknown: the sweep did not come to its end."""
    answer = session_of(host).ask(SWEEP)[0]
    lines = answer.text.splitlines()
    if lines[-1:] != [END]:
        raise Unknown("the places of a kubelet's files were not looked through to the end")
    said: dict[str, list[str]] = {"f": [], "t": [], "?": []}
    for line in lines[:-1]:
        word, _, path = line.partition(" ")
        if word not in said or not path.startswith("/"):
            raise Unknown(f"what came of a kubelet's files makes no sense: {line[:60]!r}")
        said[word].append(path)
    denied = []
    for line in answer.evidence.stderr.decode("utf-8", "surrogateescape").splitlines():
        told = _COMPLAINT.match(line)
        if told is None:
            denied.append(("/", line[:200]))
        elif told[2] not in _ABSENT:
            denied.append((told[1], told[2]))
    if not lines[:-1] and not answer.evidence.stderr:
        raise Unknown("the sweep over a kubelet's files found nothing and says not why")
    return KubeletPlaces(frozenset(said["f"]), tuple(said["t"]), tuple(said["?"]), tuple(denied))
