"""Kubeconfigs on a host, and which of them hold a cluster's administrator.

Of each file the certificates alone leave the host: the names of their owners are in them. kubeadm's
``super-admin.conf`` has the group system:masters, its ``admin.conf`` kubeadm:cluster-admins
(Kubernetes, "kubeadm implementation details"). A token or a plug-in does not tell whose it is.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import get, provide
from hullcheck.facts.runners.places import AgentPlaces
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import CannotAnswer, Want, session_of, want

__all__ = ["Kubeconfig", "kubeconfigs"]

ADMINISTRATORS = frozenset({"system:masters", "kubeadm:cluster-admins"})
LONGEST = 20_000

_AWK = """
FNR == 1 { print "= " FILENAME }
/^[ \\t-]*client-certificate-data:/ { print "certificate " $NF }
/^[ \\t-]*client-certificate:/ { print "file" }
/^[ \\t-]*(token|tokenFile|password|exec|auth-provider):/ { sub(/:.*/, ""); print "other " $NF }
"""


@dataclass(frozen=True, slots=True)
class Kubeconfig:
    """:param groups: those of its certificates.

    :param others: how else it lets somebody in: token, exec …
    """

    path: str
    groups: frozenset[str]
    others: frozenset[str]

    @property
    def administrator(self) -> bool:
        return bool(self.groups & ADMINISTRATORS)


def _want(paths: Iterable[str]) -> Want:
    listed = list(paths)
    return want(f"awk '{_AWK}' {' '.join(['%s'] * len(listed))} && echo '{END}'", *listed)


@provide
def kubeconfigs(host: Host) -> list[Kubeconfig]:
    """All in the usual places. :raises Unknown: one cannot be read, or makes no sense."""
    places: AgentPlaces = get(host, "agent_places")
    paths = [each.path for each in places.kubeconfigs]
    if not paths:
        return []
    if any("\n" in each or "=" in each for each in paths):
        raise Unknown("a kubeconfig has a strange name")
    answer = session_of(host).ask(_want(paths))[0]
    try:
        *lines, end = lines_of(answer) or [""]
    except CannotAnswer as reason:
        raise Unknown(f"{reason}; it may need root") from None
    if end != END:
        raise Unknown("the kubeconfigs were not read to the end")
    found: dict[str, tuple[set[str], set[str]]] = {}
    here: tuple[set[str], set[str]] = (set(), set())
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "=":
            here = found.setdefault(rest, (set(), set()))
        elif word == "certificate":
            here[0].update(_groups(rest))
        else:
            here[1].add(rest or "a certificate in a file")
    return [Kubeconfig(path, frozenset(a), frozenset(b)) for path, (a, b) in found.items()]


def _groups(text: str) -> list[str]:
    """Return the organizations of a certificate. :raises Unknown: it is none."""
    bare = re.sub(r"[\"']", "", text)
    try:
        if len(bare) > LONGEST:
            raise ValueError("too long")
        made = x509.load_pem_x509_certificate(base64.b64decode(bare, validate=True))
    except (ValueError, binascii.Error):
        raise Unknown("the certificate of a kubeconfig makes no sense") from None
    names = made.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATION_NAME)
    return [str(each.value) for each in names]
