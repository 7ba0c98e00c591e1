"""Certificates in files of a host."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from hullcheck.control import Unknown
from hullcheck.facts.kubernetes.certificates import certificate_want, certificates
from hullcheck.transport import CannotAnswer
from tests.unit.fake import host_with
from tests.unit.here import host_here

BEGINS = datetime(2026, 1, 1, tzinfo=UTC)


def made(key, name="kubernetes", ca=False):
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        issuer_name=subject, subject_name=subject, public_key=key.public_key(), serial_number=7,
        not_valid_before=BEGINS, not_valid_after=BEGINS + timedelta(days=365),
    ).add_extension(x509.BasicConstraints(ca, None), critical=True)  # fmt: skip
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


KEY = ec.generate_private_key(ec.SECP256R1())
CA = made(KEY, ca=True)


def test_files(tmp_path):
    strange = tmp_path / "a=b\nc'.pem"
    strange.write_bytes(CA)
    rsa_key = rsa.generate_private_key(65537, 2048)
    secret = rsa_key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    both = tmp_path / "kubelet-client-current.pem"
    both.write_bytes(made(rsa_key, "node") + secret + CA.replace(b"\n", b"\r\n"))
    (tmp_path / "empty").write_text("nothing\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "bad.crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n")
    paths = [str(tmp_path / each) for each in (
        strange.name, both.name, "empty", "folder", "bad.crt", "absent", "empty/x",
    )]  # fmt: skip
    host = host_here()
    found = certificates(host, paths)
    [authority] = found[paths[0]]
    assert (authority.key, authority.bits, authority.digest) == ("EC", 256, "sha256")
    assert authority.authority and authority.begins == BEGINS
    assert authority.subject == authority.issuer == "CN=kubernetes"
    first, second = found[paths[1]]
    assert (first.key, first.bits, first.authority) == ("RSA", 2048, False)
    assert second.spki == authority.spki != first.spki
    assert found[paths[2]] == []
    assert isinstance(found[paths[3]], Unknown) and isinstance(found[paths[4]], Unknown)
    assert set(found) == set(paths[:5])


def test_private_keys_stay(tmp_path):
    secret = KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    (tmp_path / "both.pem").write_bytes(secret + CA)
    host = host_here()
    assert len(certificates(host, [str(tmp_path / "both.pem")])[str(tmp_path / "both.pem")]) == 1
    from hullcheck.transport import session_of

    said = b"".join(each.stdout for each in session_of(host).recording)
    assert secret.split(b"\n")[1] not in said and b"PRIVATE" not in said


@pytest.mark.parametrize("said", ["", "= 1\n", "= 1\n= 2\n= end\n", "= end\n", "| x\n= end\n"])
def test_not_whole(said):
    with pytest.raises(CannotAnswer):
        certificates(host_with({certificate_want(["/x"]).command: said}), ["/x"])


def test_denied():
    command = certificate_want(["/x"]).command
    told = "= 1\n? ls: cannot access '/x': Permission denied\n= end\n"
    found = certificates(host_with({command: told}), ["/x"])["/x"]
    assert isinstance(found, Unknown) and "root" in str(found)


def test_nothing_is_asked():
    assert certificates(host_with({}), []) == {}
