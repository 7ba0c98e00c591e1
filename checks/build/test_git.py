"""What git is told where builds run: what it trusts, keeps and starts."""

from __future__ import annotations

import posixpath
import re

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.credentials.git import CUT, GitConfig
from hullcheck.facts.files import Files

PROGRAMS = (("core", "hookspath"), ("core", "fsmonitor"), ("init", "templatedir"),
            ("core", "sshcommand"), ("core", "askpass"), ("credential", "helper"))  # fmt: skip


@control(
    title="git keeps no passwords in files or in its configuration",
    severity="high",
    fix="Set credential.helper to a keyring or to cache, remove ~/.git-credentials, "
    "url.*.insteadOf with a token and http.*.extraHeader, and revoke what was in them.",
)
def test_git_credentials(git_config: GitConfig) -> None:
    """The helper store writes passwords down in the clear, and a token in an address or a header
    that git is told to use is in the clear from the start. Every build that runs as this user has
    it, and can push to whatever it opens."""
    found = []
    helpers: dict[str, list[tuple[str, str]]] = {}
    for path, each in git_config.of("credential", "helper"):
        value = each.value or ""
        helpers.setdefault(each.part, [])
        if value:
            helpers[each.part].append((path, value))
        else:
            helpers[each.part].clear()
    for part, values in helpers.items():
        name = f"credential.{part}.helper" if part else "credential.helper"
        for path, value in values:
            if value == "store" or value.endswith("credential-store"):
                found.append(f"{name} is store ({path})")
            elif value == "!inline-hidden":
                found.append(f"{name} says a password ({path})")
    for path, each in git_config.settings:
        if CUT in each.part or CUT in (each.value or ""):
            found.append(f"{each} has a token in an address ({path})")
        if each.key == "extraheader" and each.value == "hidden":
            found.append(f"{each} holds a token ({path})")
    expect(sorted(set(found)), equals=[], what="passwords that git keeps")
    git_config.need()


@control(
    title="git verifies the certificates of servers",
    severity="high",
    fix="Remove http.sslVerify=false, and give the authority of an own server by http.sslCAInfo.",
)
def test_git_tls_verify(git_config: GitConfig) -> None:
    """Without it whoever is on the way to the server, or answers for its name, decides what source
    is built, and gets the token that was sent to fetch it."""
    off = [
        f"{each} ({path})" for path, each in git_config.last("http", "sslverify").values()
        if each.false
    ]  # fmt: skip
    expect(sorted(off), equals=[], what="settings that turn verification off")
    git_config.need()


@control(
    title="git takes only named folders of others for its own",
    severity="medium",
    fix="Replace safe.directory=* by the folders that are meant, or let builds run as the owner of "
    "the checkout.",
)
def test_git_safe_directories(git_config: GitConfig) -> None:
    """git refuses repositories of other owners since CVE-2022-24765: their configuration and hooks
    name programs that it runs. With * it runs those of any folder, in /tmp for example, as whoever
    types git status there, root too."""
    wide: list[str] = []
    for path, each in git_config.of("safe", "directory"):
        if not each.value:
            wide.clear()
        elif each.value in ("*", "/*"):
            wide.append(f"{each}={each.value} ({path})")
    expect(sorted(set(wide)), equals=[], what="folders of others that git trusts")
    git_config.need()


@control(
    title="Programs and files that git is told to use are in nobody else's hands",
    severity="high",
    fix="chown the hooks, templates, helpers and included files to root or to the user of the "
    "configuration and chmod go-w them and their folders, or remove the setting.",
)
def test_git_programs(git_config: GitConfig, files: Files, accounts: Accounts) -> None:
    """core.hooksPath, core.fsmonitor, init.templateDir, helpers of credentials and included files
    make git run programs. Who can write one of them, or the configuration itself, runs commands as
    whoever uses git, in every repository."""
    named = {path for path, _ in git_config.settings} | {git_config.path, *git_config.includes}
    for section, key in PROGRAMS:
        for _, each in git_config.of(section, key):
            value = (each.value or "").lstrip("!")
            if value.startswith("~/") and git_config.home:
                value = git_config.home + value[1:]
            if value.startswith("/"):
                named.add(posixpath.normpath(value))
    user = next((each for each in accounts.users if each.home.rstrip("/") == git_config.home), None)
    trusted = {0, user.uid} if user and git_config.home else {0}
    paths = sorted(each for each in named if not re.search("[\n\t\0]", each))
    for file in files.all(paths):
        expect(file.writable_by_others(trusted), equals=[], what=f"who else may change {file}")
    git_config.need()
    if len(paths) == 1 and not git_config.settings:
        raise NotApplicable("it names no program or file")
