"""Passwords and tokens that lie about on hosts that build."""

from __future__ import annotations

import re

from testinfra.host import Host

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.credentials.files import Credentials, Login, Token, checkouts, secrets_in
from hullcheck.facts.credentials.units import UnitSecrets
from hullcheck.facts.files import Files
from hullcheck.facts.readers import readers_of
from hullcheck.inventory.policy import Policy

PATH = (
    "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin", "/snap/bin",
)  # fmt: skip


@control(
    title="Passwords of registries are kept by a helper, not in files",
    severity="high",
    fix='docker logout, revoke the password, and set "credsStore" or "credHelpers" in config.json '
    "(pass, ecr-login, gcr) before logging in; give builds short-lived tokens of the CI system.",
)
def test_registry_passwords(registry_login: Login) -> None:
    """Without a helper, docker login and podman login write the password down in base64, which
    hides nothing: a build, a backup or whoever reads the home once can push images in its name for
    as long as the password is valid. A proxy's password there goes to every container and build."""
    expect(registry_login.passwords, equals=[], what="registries whose password is in the file")
    expect(registry_login.proxies, equals=[], what="proxies with a password")


@control(
    title="Helpers that keep registry passwords are programs that only root can change",
    severity="high",
    fix="Install docker-credential-NAME from a package to /usr/bin or /usr/local/bin, owned by "
    "root and with mode 0755, and remove other copies.",
)
def test_credential_helper(registry_login: Login, files: Files, accounts: Accounts) -> None:
    """An engine asks the program docker-credential-NAME, found by the PATH, for the password, and
    gives it new ones to keep. Who can put another program in its place gets every password, and
    runs commands as whoever pulls an image."""
    names = registry_login.helpers
    if not names:
        raise NotApplicable("no helper keeps passwords")
    odd = [each for each in names if not re.fullmatch(r"[a-z0-9][a-z0-9._-]*", each)]
    if odd:
        raise Unknown("the name of a helper is none that can be looked for")
    [config] = files.all([registry_login.found.path])
    trusted = {0, config.uid}
    paths = [f"{folder}/docker-credential-{name}" for name in names for folder in PATH]
    found = [each for each in files.all(paths) if each.exists]
    for file in found:
        expect(file.writable_by_others(trusted), equals=[], what=f"who else may change {file}")
    missing = [each for each in names if not any(f.path.endswith(f"-{each}") for f in found)]
    if missing:
        raise Manual("see where these helpers are, and that only root can change them", missing)


@control(
    title="Files with tokens and passwords are readable by their owner alone",
    severity="high",
    fix="chmod 0600 the files named (chmod 0700 their folder), and replace the token if others "
    "could have read it; better, use tokens that live as long as a job.",
)
def test_token_file_mode(token: Token, files: Files) -> None:
    """Tools keep tokens of clouds, clusters, registries and repositories in files of the home,
    often with the mode that the umask gives. Any service or job on the host that can read one acts
    as its owner from then on, from anywhere. What counts is who can get to the file, not its mode
    alone."""
    [file] = files.all([token.found.path])
    readers = readers_of(file)
    if readers and not token.found.read:
        raise Unknown(f"what is in {token} cannot be told, and {', '.join(readers)} may read it")
    holds = ", ".join(token.held[:6])
    expect(readers, equals=[], what=f"who else may read {token}, which holds {holds}")


@control(
    title="Secrets in folders of builds are their owner's alone",
    severity="high",
    fix="Remove .env files and tokens from checkouts after a job, chmod 0600 those that must stay, "
    "and keep tokens out of the address of a git remote.",
)
def test_checkout_secrets(host: Host, files: Files, policy: Policy) -> None:
    """What a job leaves in its folder, the next job finds: environment files, npm's and pip's
    tokens, and in .git/config the token that fetched the repository. Readable by others, it is also
    open to every other service on the host. Names of examples (.env.example) do not count."""
    below = checkouts(host, policy.build_directories)
    unreadable: list[Unknown] = []
    known = []
    for each in below.of("checkout"):
        try:
            if held := secrets_in(each):
                known.append((each, held))
        except Unknown as reason:
            [file] = files.all([each.path])
            if readers_of(file):
                unreadable.append(reason)
    for (_, held), file in zip(known, files.all([each.path for each, _ in known]), strict=True):
        readers = readers_of(file)
        expect(readers, equals=[], what=f"who else may read {file}, which holds {', '.join(held)}")
    if unreadable:
        raise unreadable[0]
    if below.hidden:
        raise Unknown(f"{below.hidden[0]} cannot be looked into; it may need root")
    if not known:
        raise NotApplicable("no file with secrets lies in a folder of builds")


@control(
    title="The environment that every login gets holds no secrets",
    severity="high",
    fix="Remove the variables from /etc/environment, /etc/profile and /etc/profile.d, replace the "
    "secrets, and give them to the one service that needs them, by LoadCredential= or a 0600 file.",
)
def test_secrets_in_environment_files(credentials: Credentials) -> None:
    """What /etc/environment and /etc/profile.d set is in every user's every process: in what a
    build runs, in crash reports, in the output of env. These files are readable by everybody."""
    found, unread = [], []
    listed = credentials.of("environment")
    for each in listed:
        try:
            found += [f"{name} in {each.path}" for name in secrets_in(each)]
        except Unknown as reason:
            unread.append(reason)
    expect(sorted(found), equals=[], what="secrets in the environment of every login")
    if unread:
        raise unread[0]
    if any(each.startswith("/etc") for each in credentials.hidden):
        credentials.need()
    if not listed:
        raise NotApplicable("no file sets variables for logins")


@control(
    title="Units of systemd hold no secrets",
    severity="high",
    fix="Take the variable or argument out of the unit, replace the secret, and give it by "
    "LoadCredential= or by an EnvironmentFile= with mode 0600.",
)
def test_secrets_in_units(unit_secrets: UnitSecrets) -> None:
    """systemctl show tells every user what Environment= and ExecStart= of a unit say, whatever the
    mode of its file, and arguments are in the list of processes. A runner's token or a database's
    password there is known to every job and every account on the host."""
    expect(unit_secrets.found, equals=[], what="secrets in units")
    if unit_secrets.doubts:
        raise Unknown(unit_secrets.doubts[0])
