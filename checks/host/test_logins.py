"""What shapes a login: homes, profiles, paths, and files that let somebody in unasked."""

from __future__ import annotations

import posixpath

from hullcheck.control import Manual, Unknown, control, expect
from hullcheck.facts.files import Files
from hullcheck.facts.homes import Home
from hullcheck.facts.startup import Startup
from hullcheck.inventory.policy import Policy


@control(
    title="Homes, and what shells and ssh read in them, are their user's alone",
    severity="high",
    fix="chown USER the home and chmod go-w what is named: the home itself, .ssh, and the dot "
    "files in it.",
)
def test_homes(home: Home, files: Files) -> None:
    """Who may write a home, or a dot file or authorized_keys in it, becomes its user at the next
    login: an administrator's .bashrc then runs the intruder's line before every sudo and docker."""
    trusted = {0, home.user.uid}
    for file in files.all((home.path, *home.loose)):
        if file.exists:
            found = file.writable_by_others(trusted)
            expect(found, equals=[], what=f"who else may write {file}")
    if home.hidden:
        raise Unknown(f"what is in {home} cannot be seen: {home.hidden}; it needs root")


@control(
    title="No file lets users of other hosts in without asking",
    severity="high",
    fix="Remove .rhosts and .shosts from homes, /etc/hosts.equiv and /etc/shosts.equiv, and use "
    "keys.",
)
def test_trusted_hosts(home: Home, trusted_hosts: dict[str, str]) -> None:
    """rlogin, rsh and sshd's host-based login believe the other host's word for who somebody is.
    Whoever owns that host, or its address, is in, and an intruder leaves such a file to come
    back."""
    found = [each.path for each in home.doors if each.name != ".netrc" and each.size]
    expect(found, equals=[], what=f"files of trust in {home}")
    expect(sorted(trusted_hosts), equals=[], what="the host's own files of trust")
    if home.hidden:
        raise Unknown(f"what is in {home} cannot be seen: {home.hidden}; it needs root")


@control(
    title="Passwords in .netrc are their user's alone",
    severity="medium",
    fix="chmod 0600 ~/.netrc and chown it to its user; better, keep tokens in a credential helper.",
)
def test_netrc(home: Home) -> None:
    """curl, git and ftp keep passwords of registries and repositories there in clear text. Readable
    by others, it is a shared account."""
    loose = [
        f"{each.path} (mode {each.mode:04o}, of uid {each.uid})" for each in home.doors
        if each.name == ".netrc" and each.size
        and (each.mode & 0o077 or each.uid not in (0, home.user.uid))
    ]  # fmt: skip
    expect(loose, equals=[], what=f"files of passwords in {home} that are not its user's alone")
    if home.hidden:
        raise Unknown(f"what is in {home} cannot be seen: {home.hidden}; it needs root")


@control(
    title="Nobody but root can put programs into root's PATH",
    severity="critical",
    fix="Remove relative parts, empty parts and users' folders from PATH, and chown root and chmod "
    "go-w the folders and programs named.",
)
def test_root_path(startup: Startup, files: Files) -> None:
    """Root types docker; the shell runs the first docker it finds. Who can write a folder that is
    searched, or one program in it, decides what that is; an empty part or a dot is the folder one
    stands in, an unpacked image's for example."""
    odd = [f"{each.folder!r} ({each.where})" for each in startup.path
           if not each.folder.startswith("/")]  # fmt: skip
    expect(odd, equals=[], what="parts of PATH that are no absolute path")
    folders = [each.folder for each in startup.path if each.folder.startswith("/")]
    for file in files.all([*folders, *startup.loose]):
        found = file.writable_by_others() if file.exists else file.replaceable_by_others()
        expect(found, equals=[], what=f"who else may write {file}")


@control(
    title="What every login reads, and where every program loads from, is root's",
    severity="critical",
    fix="chown root and chmod go-w what is named, and remove folders of users from /etc/ld.so.conf "
    "and /etc/ld.so.conf.d, then run ldconfig.",
)
def test_login_files(startup: Startup, files: Files) -> None:
    """A line in /etc/profile.d runs in every administrator's shell, a library in a folder that the
    loader trusts in every program, setuid ones included. Write access to either is root's rights
    with a short delay."""
    hidden = []
    for file in files.all(dict.fromkeys([*startup.files, *startup.library_folders])):
        if file.state == "denied":
            hidden.append(file.reason)
        elif file.exists:
            found = file.writable_by_others()
            expect(found, equals=[], what=f"who else may write {file}")
    if hidden:
        raise Unknown(hidden[0])


@control(
    title="No library is put into every program",
    severity="high",
    fix="Remove the line from /etc/ld.so.preload, and find out which package owns the library and "
    "who put it there; name it in preloaded_libraries of the policy if it is meant.",
)
def test_preloaded_libraries(startup: Startup, files: Files, policy: Policy) -> None:
    """What /etc/ld.so.preload names is loaded into every program, root's and setuid ones too. Few
    hosts need it; rootkits live there, and hide files, processes and connections of theirs from
    every tool that asks, this one too."""
    found = startup.preloaded
    if policy.preloaded_libraries is not None:
        expect(found, within=policy.preloaded_libraries, what="libraries in every program")
    for file in files.all([each for each in found if posixpath.isabs(each)]):
        others = file.writable_by_others() if file.exists else file.replaceable_by_others()
        expect(others, equals=[], what=f"who else may write {file}")
    if found and policy.preloaded_libraries is None:
        raise Manual(f"whether these belong into every program: {', '.join(found)}", found)
    if not found:
        expect(found, equals=[], what="libraries in every program")
