"""The keys of a swarm: the nodes' certificates, the authority behind them, the managers' lock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.swarm import Swarm
from hullcheck.inventory.policy import Policy

DAY = 86400.0
BACKDATED = timedelta(hours=1)
"""By how much swarmkit dates a certificate back, for clocks that are behind."""

OVERDUE = 0.9
"""Of a certificate's life. A node renews its own after 50 to 80 % (swarmkit, ca/renewer.go)."""


@control(
    title="A manager that restarts stays locked until somebody unlocks it",
    severity="high",
    fix="docker swarm update --autolock=true on a manager, and keep the unlock key elsewhere.",
)
def test_swarm_autolock(swarm: Swarm) -> None:
    """Without the lock, whoever has a manager's disk or a backup of it has the key to all of the
    swarm's secrets and may pose as that manager. What counts is that the key on disk is encrypted
    now; the setting says whether it stays so."""
    if swarm.state != "locked":
        swarm.need_manager()
        expect(swarm.setting("EncryptionConfig", "AutoLockManagers"), equals=True,
               what="AutoLockManagers")  # fmt: skip
    shown = "encrypted" if swarm.key_header.encrypted else "in the clear"
    expect(shown, equals="encrypted", what="the manager's private key on disk")


@control(
    title="The key that unlocks managers is changed from time to time",
    severity="low",
    fix="docker swarm unlock-key --rotate on a manager; set swarm_unlock_key_days in the policy.",
)
def test_swarm_unlock_key_age(swarm: Swarm, policy: Policy, started: datetime) -> None:
    """A key that opens every manager wanders into scripts and mail over the years. A manager does
    not note when it was changed, but it writes its private key anew when that happens, or when
    its certificate is renewed, and then both."""
    if swarm.state != "locked":
        swarm.need_manager()
    header = swarm.key_header
    if not header.encrypted:
        raise NotApplicable("managers do not lock: there is no key that unlocks them")
    key, certificate = swarm.written
    facts = {
        "version of the key": header.version,
        "private key written": _shown(key),
        "certificate written": _shown(certificate),
    }
    days = policy.swarm_unlock_key_days
    if days is None:
        raise Manual("the policy does not say how old the unlock key may be", facts)
    since = _shown(started.timestamp() - days * DAY)
    if expect(_shown(key), at_least=since, what="when the unlock key was changed, at the latest"):
        if key - certificate > 1:
            return
        raise Manual(
            "the private key was last written with a new certificate: see from the site's own "
            "records when the unlock key was changed",
            facts,
        )


def _shown(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@control(
    title="Certificates of a swarm's nodes are short-lived",
    severity="medium",
    level=2,
    fix="docker swarm update --cert-expiry 2160h on a manager (or what swarm_certificate_days in "
    "the policy says), then docker swarm ca --rotate for the certificates that there are.",
)
def test_swarm_certificate_lifetime(swarm: Swarm, policy: Policy) -> None:
    """A node's certificate cannot be called back: who copies one is that node until it ends. The
    setting says how long new ones live, the certificate how long this one does."""
    most = policy.swarm_certificate_days
    certificate = swarm.certificate
    life = certificate.not_valid_after_utc - certificate.not_valid_before_utc - BACKDATED
    expect(_days(life), at_most=most, what="days that the node's certificate is valid")
    if swarm.state == "active" and swarm.manager:
        setting = timedelta(microseconds=swarm.setting("CAConfig", "NodeCertExpiry") / 1000)
        expect(_days(setting), at_most=most, what="days that new certificates are valid")


def _days(span: timedelta) -> float:
    return round(span.total_seconds() / DAY, 2)


@control(
    title="A swarm's node renews its certificate in time",
    severity="medium",
    fix="See in the engine's log why the node cannot reach a manager, or why none signs; or let it "
    "leave the swarm and join again.",
)
def test_swarm_certificate_renewal(swarm: Swarm, started: datetime) -> None:
    """A node renews its certificate long before it ends. Where it does not, it will drop out of
    the swarm, and nobody has noticed that it cannot reach a manager, or that none signs."""
    certificate = swarm.certificate
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    due = begins + (ends - begins) * OVERDUE
    expect(_time(due), at_least=_time(started), what="when the certificate must be renewed")


def _time(when: datetime) -> str:
    return _shown(when.timestamp())


@control(
    title="The authority of a swarm is replaced from time to time",
    severity="medium",
    level=2,
    fix="docker swarm ca --rotate on a manager; swarm_ca_days in the policy says how often.",
)
def test_swarm_root_ca_age(swarm: Swarm, policy: Policy, started: datetime) -> None:
    """Who holds the authority's key can add nodes and managers at will, and it lies on every
    manager that ever was. Its certificate is made for twenty years; replacing it makes copies of
    the old key worthless. What the node trusts must be what the managers say."""
    roots = swarm.roots
    oldest = min(each.not_valid_before_utc for each in roots)
    expect(
        _time(oldest),
        at_least=_time(started - timedelta(days=policy.swarm_ca_days)),
        what="when the authority was made",
    )
    ends = min(each.not_valid_after_utc for each in roots)
    expect(_time(ends), at_least=_time(started), what="when the authority's certificate ends")
    if swarm.state == "active" and swarm.manager and not _rotating(swarm):
        told = {_print(each) for each in swarm.trust}
        expect({_print(each) for each in roots}, equals=told, what="authorities on disk")


@control(
    title="Who signs for a swarm from outside is known",
    severity="high",
    fix="docker swarm ca --rotate without --external-ca, if the swarm is to sign by itself; else "
    "name the service's URL in swarm_external_cas in the policy, and let it be https.",
)
def test_swarm_external_ca(swarm: Swarm, policy: Policy) -> None:
    """A service that signs certificates for the swarm makes nodes and managers of whomever it
    likes. It is an authority as good as the swarm's own, on a host that this audit may not look
    at."""
    if not _settings(swarm):
        raise Unknown(f"{swarm.engine} does not tell how its swarm's certificates are signed")
    told = _settings(swarm).get("ExternalCAs") or []
    urls = sorted(str(each.get("URL") or "a URL that is not told") for each in told)
    plain = [each for each in urls if not each.lower().startswith("https://")]
    expect(plain, equals=[], what="signing services that are not asked over TLS")
    if policy.swarm_external_cas is None and urls:
        raise Manual(f"the policy does not say who may sign for the swarm: {', '.join(urls)}", urls)
    expect(urls, within=policy.swarm_external_cas or (), what="signing services")


def _settings(swarm: Swarm) -> dict[str, Any]:
    return (swarm.cluster.get("Spec") or {}).get("CAConfig") or {}


@control(
    title="The tokens with which nodes join a swarm are changed from time to time",
    severity="medium",
    fix="docker swarm join-token --rotate worker, and manager, on a manager; swarm_token_days in "
    "the policy says how often.",
)
def test_swarm_join_tokens(swarm: Swarm, policy: Policy, started: datetime) -> None:
    """Whoever has a token and reaches a manager joins; with the managers' one he has the swarm's
    secrets at once. Tokens stay in histories, scripts and mail. Their age is written nowhere, but
    they hold a print of the authority, and are changed with it: so they are no older. And they
    are no younger than the last change of the swarm's settings. The tokens are not asked for."""
    settings = swarm.cluster
    if not settings.get("CreatedAt") or not settings.get("UpdatedAt"):
        raise Unknown(f"{swarm.engine} does not tell when its swarm was made and changed")
    made = min(each.not_valid_before_utc for each in swarm.trust)
    oldest, youngest = _time(made), _shown(_stamp(settings["UpdatedAt"]))
    facts = {"the oldest they can be": oldest, "the youngest they can be": youngest}
    if policy.swarm_token_days is None:
        raise Manual("the policy does not say how old tokens may be", facts)
    since = _time(started - timedelta(days=policy.swarm_token_days))
    if oldest >= since:
        expect(oldest, at_least=since, what="when tokens were made, at the earliest")
    elif expect(youngest, at_least=since, what="when tokens were made, at the latest"):
        raise Unknown(
            f"tokens are of some time from {oldest} to {youngest}: the swarm does not note when "
            "they were changed"
        )


def _stamp(text: str) -> float:
    """Return seconds since the epoch. :raises Unknown: it is no time."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise Unknown(f"{text[:40]!r} is no time") from None


def _rotating(swarm: Swarm) -> bool:
    return swarm.cluster.get("RootRotationInProgress") is True


def _print(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(SHA256()).hex()
