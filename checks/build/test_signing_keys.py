"""Keys that sign or open something, left where builds run."""

from __future__ import annotations

import posixpath

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.credentials.files import Credentials, checkouts
from hullcheck.facts.role import BUILD_HOST, Role
from hullcheck.inventory.policy import Policy

RUNNERS = frozenset({
    "gitlab-runner", "jenkins", "github-runner", "actions-runner", "runner", "buildkite-agent",
    "drone", "woodpecker", "azureuser", "vsts", "ci", "build", "builder", "teamcity",
})  # fmt: skip
"""Accounts that builds usually run as."""

SIGNING = frozenset({"cosign", "minisign", "pgp", "gnupg"})
PERSONAL = frozenset({"pgp", "gnupg"})


@control(
    title="No keys that sign images or packages lie on hosts that build",
    severity="high",
    level=2,
    fix="Sign by a key in a KMS, a token or keyless by the CI's identity (cosign --key kms://…), "
    "move the key off the host and, if builds could read it, replace it.",
)
def test_signing_keys(credentials: Credentials, host: Host, role: Role, policy: Policy) -> None:
    """A signature says that the holder of the key vouches for an image. Where the key lies on a
    host that runs other people's code, it vouches for whatever that code wanted, and a passphrase
    that the build knows too helps little. Keys on a smart card do not count."""
    below = checkouts(host, policy.build_directories)
    builds = BUILD_HOST in role
    found, doubts = [], []
    for each in (*credentials.of("key"), *below.of("key")):
        stores = each.whole and posixpath.basename(each.path) != "secring.gpg"
        abuild = "/.abuild/" in each.path or "/localkeys/" in each.path
        sort = each.kind or ("a key store" if stores else "gnupg" if each.whole else "")
        if not each.read:
            doubts.append(f"{each.path} cannot be read; it needs root")
        elif sort in PERSONAL and not builds:
            continue
        elif stores or sort in SIGNING or (abuild and sort in ("open", "encrypted")):
            found.append(f"{each.path} ({sort})")
    expect(sorted(found), equals=[], what="keys that sign")
    doubts += [f"{each} cannot be looked into; it needs root"
               for each in (*credentials.hidden, *below.hidden)]  # fmt: skip
    if doubts:
        raise Unknown(doubts[0])
    if not builds:
        raise NotApplicable("this is no build host, and no key for images lies on it")


@control(
    title="Accounts that run builds have no SSH keys without a passphrase",
    severity="medium",
    level=2,
    fix="Remove the key and give jobs one that lives as long as they do, from the CI's secrets or "
    "an agent; use deploy tokens that can only read.",
)
def test_runner_ssh_keys(credentials: Credentials, accounts: Accounts) -> None:
    """A job runs code that somebody has just pushed. A key in the home of the runner's account is
    within its reach, needs nothing to be used, and opens hosts and repositories until somebody
    replaces it."""
    uids = {each.process.uids[1] for each in credentials.agents if each.own}
    homes = {each.home.rstrip("/") for each in accounts.users
             if each.uid in uids or (each.name in RUNNERS and each.uid)}  # fmt: skip
    if not homes:
        raise NotApplicable("no account of this host runs builds")
    found, doubts = [], []
    for each in credentials.of("ssh"):
        if posixpath.dirname(posixpath.dirname(each.path)) in homes:
            if not each.read:
                doubts.append(f"{each.path} cannot be read; it needs root")
            elif each.kind == "open":
                found.append(each.path)
    expect(sorted(found), equals=[], what="keys without a passphrase")
    doubts += [f"{each} cannot be looked into; it needs root" for each in credentials.hidden
               if any(f"{home}/.ssh".startswith(each) for home in homes)]  # fmt: skip
    if doubts:
        raise Unknown(doubts[0])
