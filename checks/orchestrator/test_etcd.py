"""Who may speak with etcd, and how."""

from __future__ import annotations

from hullcheck.control import control, expect
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.etcd_settings import EtcdSettings, Url, settings_of
from hullcheck.facts.sockets import sockets_of

CLEAR = ("http", "")


def _in_the_clear(settings: EtcdSettings, *names: str) -> list[str]:
    urls = [each for name in names for each in settings.urls(name)]
    return sorted({str(each) for each in urls if each.scheme in CLEAR})


def _expect_certificate(settings: EtcdSettings, side: str) -> None:
    for name in (f"{side}cert-file", f"{side}key-file"):
        expect(bool(settings.text(name)), equals=True, what=f"whether {name} is given")


@control(
    title="etcd serves its clients with TLS and a certificate of the site's",
    severity="critical",
    fix="Set cert-file and key-file, drop auto-tls, and use https:// alone in listen-client-urls "
    "and listen-client-http-urls.",
)
def test_etcd_client_tls(etcd: Component) -> None:
    """Every secret of the cluster passes here. An address in the clear gives them to any user of
    the host, on loopback too, and asks for no certificate whatever else is set. With auto-tls
    etcd makes a certificate that no client can check. An etcd that serves something else than
    Kubernetes holds no less."""
    settings = settings_of(etcd)
    _expect_certificate(settings, "")
    clear = _in_the_clear(settings, "listen-client-urls", "listen-client-http-urls")
    expect(clear, equals=[], what="addresses for clients without TLS")


@control(
    title="etcd lets in only clients with a certificate of an authority of its own",
    severity="critical",
    fix="Set client-cert-auth: true and trusted-ca-file (--client-cert-auth=true "
    "--trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt).",
)
def test_etcd_client_authentication(etcd: Component) -> None:
    """Whoever reaches etcd without showing a certificate reads and writes all that the cluster
    is. With client-cert-auth but no trusted-ca-file, a certificate of any public authority does;
    with trusted-ca-file alone, etcd demands one all the same (TLSInfo.ServerConfig in
    client/pkg/transport)."""
    settings = settings_of(etcd)
    _expect_authority(settings, "")


def _expect_authority(settings: EtcdSettings, side: str) -> None:
    name = f"{side}trusted-ca-file"
    shown = settings.text(name) or "any that the host trusts"
    if not settings.text(name) and not settings.flag(f"{side}client-cert-auth"):
        shown = "no certificate is asked for"
    what = f"authority of those let in ({name})"
    expect(shown, equals=settings.text(name) or "one that is named", what=what)


@control(
    title="etcd's members speak with TLS and certificates of the site's",
    severity="high",
    fix="Set peer-cert-file and peer-key-file, drop peer-auto-tls, and use https:// alone in "
    "listen-peer-urls and initial-advertise-peer-urls.",
)
def test_etcd_peer_tls(etcd: Component) -> None:
    """The members send each other all data. Where one listens in the clear, or with a certificate
    that it made itself (peer-auto-tls), whoever stands between reads it. A single member listens
    for others all the same."""
    settings = settings_of(etcd)
    _expect_certificate(settings, "peer-")
    clear = _in_the_clear(settings, "listen-peer-urls")
    expect(clear, equals=[], what="addresses for members without TLS")


@control(
    title="etcd takes for members only those with a certificate of an authority of its own",
    severity="critical",
    fix="Set peer client-cert-auth and trusted-ca-file (--peer-client-cert-auth=true "
    "--peer-trusted-ca-file=/etc/kubernetes/pki/etcd/ca.crt).",
)
def test_etcd_peer_authentication(etcd: Component) -> None:
    """Who is taken for a member can send a snapshot or entries of the log, and so write whatever
    he likes into the database, past all roles. That needs no more than to reach the port, if no
    certificate is demanded."""
    settings = settings_of(etcd)
    _expect_authority(settings, "peer-")


@control(
    title="etcd listens only where its clients and members are",
    severity="medium",
    level=2,
    fix="Name the node's own address and 127.0.0.1 in listen-client-urls and listen-peer-urls "
    "instead of 0.0.0.0 or [::]; leave listen-metrics-urls on 127.0.0.1, or use https://.",
)
def test_etcd_addresses(etcd: Component) -> None:
    """On all addresses etcd answers in every network the node is in, pods' and public ones too,
    and a certificate that leaked is all one needs. Metrics in the clear tell names of keys and
    members, and how to slow it down. What the kernel says counts beside what was told."""
    settings = settings_of(etcd)
    names = ("listen-client-urls", "listen-client-http-urls", "listen-peer-urls")
    urls = [each for name in names for each in settings.urls(name)]
    metrics = settings.urls("listen-metrics-urls")
    wide = sorted(str(each) for each in {*urls, *metrics} if each.any)
    expect(wide, equals=[], what="every address of the node, in the settings")
    clear = sorted(str(each) for each in metrics if _reveals(each))
    expect(clear, equals=[], what="metrics in the clear")
    pid = etcd.program.process.pid
    told = {each.port for each in (*urls, *metrics)}
    mine = [each for each in sockets_of(etcd.host, pid).tcp if each.any and each.port in told]
    held = sorted(str(each) for each in mine if pid in (each.owners or (pid,)))
    expect(held, equals=[], what="every address of the node, as the kernel has it")


def _reveals(url: Url) -> bool:
    return url.scheme in CLEAR and not url.local


@control(
    title="etcd serves no profiles of itself",
    severity="low",
    fix="Drop enable-pprof, or set it to false.",
)
def test_etcd_profiling(etcd: Component) -> None:
    """Profiles show what is in etcd's memory and which keys are used, to every client, and
    taking one slows the cluster down."""
    settings = settings_of(etcd)
    expect(settings.flag("enable-pprof"), equals=False, what="enable-pprof")
