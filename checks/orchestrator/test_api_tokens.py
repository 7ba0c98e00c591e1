"""The tokens of service accounts, as the API server makes and takes them."""

from __future__ import annotations

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.kubernetes.api_files import named
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.durations import seconds_of

YEAR = 365 * 86400


@control(
    title="A token of a deleted service account opens nothing",
    severity="high",
    fix="Remove --service-account-lookup=false.",
)
def test_service_account_lookup(api_server: Component) -> None:
    """Without a look at whether the account still exists, its tokens are good until they end, and
    the old ones never end: to delete an account takes nothing back from a thief."""
    lookup = api_server.flags.flag("service-account-lookup")
    expect(lookup is not False, equals=True, what="service-account-lookup")


@control(
    title="Tokens of service accounts are signed with a key of their own",
    severity="medium",
    fix="Set --service-account-key-file and --service-account-signing-key-file to a pair that is "
    "made for them, such as /etc/kubernetes/pki/sa.pub and sa.key.",
)
def test_service_account_keys(api_server: Component) -> None:
    """Where no key is named, the API server takes the one of its TLS certificate. Whoever gets a
    copy of that for a load balancer can then make tokens for any service account, and the
    certificate cannot be renewed without breaking all of them."""
    if named(api_server, "service-account-signing-endpoint"):
        raise NotApplicable("another program signs the tokens")
    files = api_server.flags.values.get("service-account-key-file", ())
    expect("set" if any(files) else "not set", equals="set", what="--service-account-key-file")
    tls = named(api_server, "tls-private-key-file")
    used = [*files, named(api_server, "service-account-signing-key-file")]
    expect([each for each in used if each], without=(tls,) if tls else (),
           what="the key of service accounts' tokens")  # fmt: skip


@control(
    title="Tokens in pods end when they say so",
    severity="medium",
    fix="Set --service-account-extend-token-expiration=false, once no program in the cluster "
    "reads its token only at start (metric serviceaccount_stale_tokens_total).",
)
def test_service_account_token_extension(api_server: Component) -> None:
    """For the sake of old clients, a token that says it lasts an hour is good for a year. Who
    copies one from a pod has as long, unless the pod is deleted. It is on unless it is turned
    off."""
    extended = api_server.flags.flag("service-account-extend-token-expiration")
    expect(extended is not False, equals=False, what="service-account-extend-token-expiration")


@control(
    title="Nobody can ask for a service account's token that lasts for ever",
    severity="medium",
    level=2,
    fix="Set --service-account-max-token-expiration to what programs need, such as 48h.",
)
def test_service_account_token_lifetime(api_server: Component) -> None:
    """Who may create tokens chooses how long they last, and a request for ten years is granted if
    no limit is set. Such a token outlives everybody who knew of it."""
    text = named(api_server, "service-account-max-token-expiration")
    limit = seconds_of(text, "--service-account-max-token-expiration") if text else 0
    if expect(limit > 0, equals=True, what="a limit to how long a token may last"):
        expect(limit, at_most=YEAR, what="seconds that a token may last")
