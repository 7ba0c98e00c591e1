"""How an SSH connection is protected, and what else it may carry."""

from __future__ import annotations

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.sshd import SshServer
from hullcheck.facts.sshd.algorithms import resolved, weak
from hullcheck.facts.sshd.keys import SMALLEST_RSA
from hullcheck.facts.sshd.logins import forwardings
from hullcheck.facts.sshd.settings import number
from hullcheck.inventory.policy import Policy

FILE = "Write it to a file in /etc/ssh/sshd_config.d, or to sshd_config, and reload sshd."


POLICIES = "On Red Hat's systems set it by a module of update-crypto-policies."


def expect_strong(server: SshServer, keyword: str) -> None:
    """Expect no weak algorithm in any list that a keyword may have."""
    if server.kind != "OpenSSH":
        raise Unknown(f"{server}: the algorithms of {server.kind} are chosen when it is built")
    for value in server.values(keyword):
        default = []
        if value.text[:1] in ("+", "-", "^"):
            default = resolved(server.settings.default(keyword), ())
        found = weak(keyword, resolved(value.text, default))
        expect(found, equals=[], what=f"weak ones among {keyword} ({value.where})")


@control(
    title="SSH encrypts with no weak cipher",
    severity="medium",
    fix=f"Take them out: Ciphers -*-cbc*,arcfour*. {FILE} {POLICIES}",
)
def test_ssh_ciphers(ssh_server: SshServer) -> None:
    """CBC as SSH uses it leaks plaintext (CVE-2008-5161), 3DES and Arcfour are broken. An old
    client, or one that was told to, gets the weakest that the server still offers."""
    expect_strong(ssh_server, "ciphers")
    ssh_server.settled()


@control(
    title="SSH proves that nothing was changed on the way with strong codes only",
    severity="low",
    fix=f"Take the weak ones out: MACs -hmac-sha1*,hmac-md5*,umac-64*. {FILE} {POLICIES}",
)
def test_ssh_macs(ssh_server: SshServer) -> None:
    """Codes made with MD5 or SHA-1, or cut to 64 bits, are what is easiest to forge of all that is
    offered; NIST withdraws SHA-1 by 2030, and no client of the last ten years needs them.
    OpenSSH's own list still has them."""
    expect_strong(ssh_server, "macs")
    ssh_server.settled()


@control(
    title="SSH agrees on keys by strong methods only",
    severity="medium",
    fix="Take out what has sha1 or group1 in its name: KexAlgorithms "
    f"-*-sha1,diffie-hellman-group1-*. {FILE}",
)
def test_ssh_key_exchange(ssh_server: SshServer) -> None:
    """Who records the traffic and later breaks the exchange reads it all. A group of 1024 bits is
    within reach of states (the Logjam paper, 2015), and signatures over SHA-1 hashes can be
    forged by collision; RFC 9142 says not to use either."""
    expect_strong(ssh_server, "kexalgorithms")
    if ssh_server.settings.values("gssapikeyexchange")[0].text == "yes":
        expect_strong(ssh_server, "gssapikexalgorithms")
    ssh_server.settled()


@control(
    title="SSH signs and accepts signatures with strong algorithms only",
    severity="medium",
    fix="Remove ssh-rsa and ssh-dss from HostKeyAlgorithms, PubkeyAcceptedAlgorithms and "
    f"CASignatureAlgorithms. RSA keys work on with rsa-sha2-256 and rsa-sha2-512. {FILE}",
)
def test_ssh_key_algorithms(ssh_server: SshServer) -> None:
    """The name ssh-rsa means a signature over SHA-1, for which collisions are for sale since
    2020 (the paper \"SHA-1 is a Shambles\"), and ssh-dss is no stronger. A client that still
    needs them is better updated than waited for."""
    for keyword in ("hostkeyalgorithms", "pubkeyacceptedalgorithms", "casignaturealgorithms"):
        expect_strong(ssh_server, keyword)
    if "yes" in ssh_server.texts("hostbasedauthentication"):
        expect_strong(ssh_server, "hostbasedacceptedalgorithms")
    ssh_server.settled()


@control(
    title="SSH refuses RSA keys that are too short, whoever brings them",
    severity="low",
    level=2,
    fix=f"Set RequiredRSASize {SMALLEST_RSA} (OpenSSH 9.1 and later). {FILE}",
)
def test_ssh_required_rsa_size(ssh_server: SshServer) -> None:
    """By itself sshd takes keys of 1024 bits. The files of keys can be checked today; what a user
    or a directory service adds tomorrow only the server can refuse."""
    if ssh_server.kind != "OpenSSH":
        raise NotApplicable(f"{ssh_server.kind} has no such setting")
    for value in ssh_server.values("requiredrsasize"):
        expect(number(value.text), at_least=SMALLEST_RSA, what=f"requiredrsasize ({value.where})")
    ssh_server.settled()


@control(
    title="SSH does not reach for the desktops of those who log in",
    severity="low",
    fix=f"Set X11Forwarding no. {FILE}",
)
def test_ssh_x11_forwarding(ssh_server: SshServer) -> None:
    """Who forwards a desktop to a host lets that host see every key that is pressed there. A
    container host needs no windows, and one that was taken over collects the passwords of its
    administrators through it."""
    if ssh_server.texts("disableforwarding") != {"yes"}:
        for value in ssh_server.values("x11forwarding"):
            expect(value.text, one_of=("no",), what=f"x11forwarding ({value.where})")
    ssh_server.settled()


@control(
    title="SSH forwards nothing but what the site needs",
    severity="medium",
    level=2,
    fix="Set AllowTcpForwarding, AllowAgentForwarding, PermitTunnel and GatewayPorts to no, or "
    f"name what is needed in ssh_forwarding of the policy. {FILE}",
)
def test_ssh_forwarding(ssh_server: SshServer, policy: Policy) -> None:
    """Through a forwarded port a login reaches what listens on this host's loopback and what only
    its containers can reach; an agent that is forwarded here signs for whoever is root here.
    docker -H ssh:// runs a command and needs none of it, Podman's client forwards a socket, and
    a jump host needs tcp."""
    found = forwardings(ssh_server)
    where = ", ".join(sorted({found[name] for name in found if name not in policy.ssh_forwarding}))
    expect(sorted(found), within=policy.ssh_forwarding, what=f"what is forwarded ({where})")
    ssh_server.settled()
