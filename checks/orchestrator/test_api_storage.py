"""How the API server keeps what it stores: its way to etcd, and encryption."""

from __future__ import annotations

import re

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.kubernetes.api_files import named
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.encryption import IDENTITY, encryption

OUTSIDE = "kms v2"


def _servers(component: Component) -> list[str]:
    """Return where the component stores. :raises NotApplicable: only behind a file's socket."""
    flags = component.flags
    found = flags.listed("etcd-servers") or []
    for each in flags.listed("etcd-servers-overrides") or []:
        found += each.partition("#")[2].split(";")
    if found and all(each.startswith("unix:") for each in found):
        raise NotApplicable("the API server stores through a socket on the node itself")
    return found


@control(
    title="The API server shows etcd who it is",
    severity="critical",
    fix="Set --etcd-certfile and --etcd-keyfile, and https addresses in --etcd-servers.",
)
def test_api_etcd_client(api_server: Component) -> None:
    """etcd holds the whole cluster, secrets included, and asks nobody for a password. Only clients
    with a certificate may be let in, so the API server must have one; over http it is not even
    shown, whatever is set."""
    plain = [each for each in _servers(api_server) if not re.match(r"(?i)https://|unix:", each)]
    expect(plain, equals=[], what="etcd servers that are spoken to in the clear")
    for flag in ("etcd-certfile", "etcd-keyfile"):
        expect("set" if named(api_server, flag) else "not set", equals="set", what=f"--{flag}")


@control(
    title="The API server makes sure that it speaks to the cluster's etcd",
    severity="high",
    fix="Set --etcd-cafile to the CA of etcd, such as /etc/kubernetes/pki/etcd/ca.crt.",
)
def test_api_etcd_ca(api_server: Component) -> None:
    """Whoever poses as etcd is told every secret, and says what the cluster is. Without the CA's
    name any public authority would do."""
    _servers(api_server)
    shown = "set" if named(api_server, "etcd-cafile") else "not set"
    expect(shown, equals="set", what="--etcd-cafile")


@control(
    title="Secrets are encrypted before they are stored",
    severity="high",
    fix="Name a file with --encryption-provider-config in which the first provider of secrets is "
    "kms (v2), secretbox, aescbc or aesgcm; then write all secrets again: kubectl get secrets -A "
    "-o json | kubectl replace -f -.",
)
def test_secrets_encrypted(api_server: Component) -> None:
    """In etcd, on its disk and in every backup, a secret is as readable as anything else, unless
    the API server encrypts it. The first provider of the list that counts for secrets writes; if
    that is identity, nothing is encrypted, whatever else the file says."""
    found = encryption(api_server)
    first = found.of("secrets")[0] if found else IDENTITY
    expect([first], without=(IDENTITY,), what="what writes secrets")


@control(
    title="The key that encrypts secrets is not kept beside them",
    severity="medium",
    level=2,
    fix="Use the provider kms with apiVersion: v2 and a plug-in of a key service or an HSM.",
)
def test_encryption_key_outside(api_server: Component) -> None:
    """With any other provider the key lies in a file on each control-plane node, most often in the
    same backup as etcd. kms v1 is slow, deprecated, and uses its keys too long."""
    found = encryption(api_server)
    if found is None:
        raise NotApplicable("nothing is encrypted, of which another control tells")
    expect(found.of("secrets")[0], equals=OUTSIDE, what="what writes secrets")


@control(
    title="Nothing that the encryption names is stored in the clear",
    severity="low",
    fix="Move identity to the end of the providers in each block of the EncryptionConfiguration, "
    "and write the objects again.",
)
def test_encryption_identity_last(api_server: Component) -> None:
    """A block that begins with identity looks like encryption and is none. That order is meant for
    the hours in which encryption is introduced or taken back, and stays when nobody comes back to
    it."""
    found = encryption(api_server)
    if found is None:
        raise NotApplicable("nothing is encrypted, of which another control tells")
    expect(found.plain, equals=[], what="kinds of objects that identity writes")
