"""Who gets in by SSH, and with what.

Judged is the worst that a server may do for some login: what holds for all, and what each Match
block may change.
"""

from __future__ import annotations

from collections.abc import Collection

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.files import Files
from hullcheck.facts.registry import Unseen
from hullcheck.facts.sshd import SshServer, SshServers
from hullcheck.facts.sshd.conditions import Who, listed
from hullcheck.facts.sshd.logins import guessable, keeps_out
from hullcheck.facts.sshd.settings import number, seconds

FILE = "Write it to a file in /etc/ssh/sshd_config.d, or to sshd_config, and reload sshd."


def expect_each(
    server: SshServer, keyword: str, allowed: Collection[str], who: Who | None = None
) -> None:
    """Expect every value that a keyword may have to be among some."""
    for value in server.values(keyword, who):
        expect(value.text, one_of=allowed, what=f"{keyword} ({value.where})")
    server.settled()


@control(
    title="Root does not log in by SSH with a password",
    severity="critical",
    fix=f"Set PermitRootLogin prohibit-password (or no), in every Match block too. {FILE}",
)
def test_ssh_root_password(ssh_server: SshServer) -> None:
    """Every scanner on the network tries root's password first, and root's name need not be
    guessed. One hit is the host with all its containers. A key cannot be guessed."""
    for root in ssh_server.roots:
        permitted = [
            each for each in ssh_server.values("permitrootlogin", root) if each.text == "yes"
        ]
        ways = guessable(ssh_server, root) if permitted and not keeps_out(ssh_server, root) else []
        where = ", ".join(each.where for each in permitted) or "nothing"
        expect(ways, equals=[], what=f"ways for {root} to log in without a key, by {where}")
    ssh_server.settled()


@control(
    title="Nobody logs in by SSH with a password alone",
    severity="high",
    fix="Set PasswordAuthentication no and KbdInteractiveAuthentication no, or demand a key as "
    f"well with AuthenticationMethods publickey,keyboard-interactive. {FILE}",
)
def test_ssh_passwords(ssh_server: SshServer) -> None:
    """Passwords are guessed, reused and phished. On a container host every user who may reach an
    engine is root, so that the weakest password among them is the host's. What PAM asks for may
    be a password too, so keyboard-interactive counts as one."""
    expect(guessable(ssh_server), equals=[], what="ways to log in without a key")
    ssh_server.settled()


@control(
    title="SSH lets no account in with an empty password",
    severity="critical",
    fix=f"Remove PermitEmptyPasswords, or set it to no. {FILE}",
)
def test_ssh_empty_passwords(ssh_server: SshServer) -> None:
    """With it, an account that was made without a password, by a package or in haste, is open to
    everybody who knows its name."""
    expect_each(ssh_server, "permitemptypasswords", ("no",))


@control(
    title="SSH does not let users in because of the host they come from",
    severity="high",
    fix=f"Set HostbasedAuthentication no and IgnoreRhosts yes. {FILE}",
)
def test_ssh_host_trust(ssh_server: SshServer) -> None:
    """Host-based logins believe what another machine says of its users: who owns that one, or a
    copy of its key, is every user here. A .rhosts file lets each user trust any machine."""
    expect_each(ssh_server, "hostbasedauthentication", ("no",))
    if "yes" in ssh_server.texts("hostbasedauthentication"):
        expect_each(ssh_server, "ignorerhosts", ("yes", "shosts-only"))


@control(
    title="Root does not log in by SSH directly",
    severity="medium",
    level=2,
    fix="Let administrators log in as themselves and use sudo; set PermitRootLogin no, or "
    f"forced-commands-only where a program has to come as root. {FILE}",
)
def test_ssh_root_login(ssh_server: SshServer) -> None:
    """When several people share root's account, the log tells a key at best, and a key that was
    copied tells nobody. A person's own login and sudo say who did what."""
    for root in ssh_server.roots:
        if not keeps_out(ssh_server, root):
            allowed = ("no", "forced-commands-only")
            expect_each(ssh_server, "permitrootlogin", allowed, root)
    ssh_server.settled()


@control(
    title="Only named users or groups get in by SSH",
    severity="medium",
    level=2,
    fix=f"Set AllowGroups (or AllowUsers) to those who are to log in. {FILE}",
)
def test_ssh_allow_lists(ssh_server: SshServer) -> None:
    """Without a list every account with a key or a password gets in: those that packages make,
    those that were forgotten, and those that a directory service adds tomorrow."""
    lists = [each for name in ("allowusers", "allowgroups") for each in ssh_server.values(name)]
    some = "a list" if lists else "no list"
    expect(some, equals="a list", what="AllowUsers or AllowGroups")
    for value in lists:
        everybody = [word for word in value.words if listed(word.partition("@")[0], {"\x01"})]
        expect(everybody, equals=[], what=f"patterns that take everybody ({value.where})")
    ssh_server.settled()


def expect_time(found: int, most: int, what: str) -> None:
    """Expect a limit in seconds, of which 0 is none."""
    expect(found, at_least=1, what=what)
    expect(found, at_most=most, what=what)


LOADERS = frozenset({"LD_PRELOAD", "LD_LIBRARY_PATH", "LD_AUDIT", "BASH_ENV", "ENV", "PATH",
                     "IFS", "PYTHONPATH", "PERL5OPT", "NODE_OPTIONS", "DOCKER_HOST"})  # fmt: skip


@control(
    title="SSH clients and users set no variable that decides what a program loads",
    severity="medium",
    fix="Set PermitUserEnvironment no, and let AcceptEnv name only harmless variables such as "
    f"LANG and LC_*. {FILE}",
)
def test_ssh_user_environment(ssh_server: SshServer) -> None:
    """Where an account may run one command only, LD_PRELOAD or BASH_ENV in its environment makes
    it any command. ~/.ssh/environment and environment= in a file of keys are read when
    PermitUserEnvironment says so; AcceptEnv takes variables from the client."""
    allowed = ("no", "none")
    for value in ssh_server.values("permituserenvironment"):
        loose = value.text == "yes" or any(listed(value.text, {name}) for name in LOADERS)
        shown = value.text if loose or value.text in allowed else "harmless names only"
        expect(shown, one_of=(*allowed, "harmless names only"),
               what=f"permituserenvironment ({value.where})")  # fmt: skip
    for value in ssh_server.values("acceptenv"):
        taken = [word for word in value.words if any(listed(word, {name}) for name in LOADERS)]
        expect(taken, equals=[], what=f"dangerous patterns of acceptenv ({value.where})")
    ssh_server.settled()


@control(
    title="SSH refuses keys in files that others could have written",
    severity="high",
    fix=f"Remove StrictModes, or set it to yes, and repair the modes that it complains of. {FILE}",
)
def test_ssh_strict_modes(ssh_server: SshServer) -> None:
    """Without the check, a home folder or a file of keys that a group or everybody may write is
    believed: any of them adds a key and is that user, root included."""
    expect_each(ssh_server, "strictmodes", ("yes",))


@control(
    title="SSH logs who logged in, and no more than that",
    severity="medium",
    fix=f"Set LogLevel INFO or VERBOSE. {FILE}",
)
def test_ssh_log_level(ssh_server: SshServer) -> None:
    """From INFO on, each login leaves the account, the address and the key's fingerprint, and
    each failure its source; below it, a break-in leaves nothing. The debugging levels write so
    much of what users do that the record cannot be kept, and sshd(8) warns of them."""
    expect_each(ssh_server, "loglevel", ("INFO", "VERBOSE"))


@control(
    title="SSH has few tries and little time for who has not logged in",
    severity="low",
    fix=f"Set LoginGraceTime 60 and, where passwords are accepted, MaxAuthTries 4. {FILE}",
)
def test_ssh_login_limits(ssh_server: SshServer) -> None:
    """A connection that never logs in holds one of the few places for newcomers (MaxStartups)
    and a process that speaks with anybody; flaws such as CVE-2024-6387 are tried through it
    again and again. The tries in one connection matter where there is a password to guess: keys
    cannot be, and agents offer many."""
    if guessable(ssh_server):
        for value in ssh_server.values("maxauthtries"):
            expect(number(value.text), at_most=4, what=f"maxauthtries ({value.where})")
    for value in ssh_server.values("logingracetime"):
        expect_time(seconds(value.text), 60, f"seconds of logingracetime ({value.where})")
    ssh_server.settled()


@control(
    title="SSH notices clients that are gone",
    severity="low",
    level=2,
    fix=f"Set ClientAliveInterval 300 and ClientAliveCountMax 3, or less. {FILE}",
)
def test_ssh_client_alive(ssh_server: SshServer) -> None:
    """The session of a laptop that was closed or lost its network stays open for hours, with its
    forwarded ports and its agent. Asked over the encrypted channel, the client has to be there;
    TCP's own keepalive can be answered by whoever is on the way."""
    for interval in ssh_server.values("clientaliveinterval"):
        for count in ssh_server.values("clientalivecountmax"):
            longest = seconds(interval.text) * number(count.text)
            expect_time(longest, 1800, f"seconds until a lost client goes ({interval.where})")
    ssh_server.settled()


@control(
    title="SSH is served by programs that only root can change",
    severity="critical",
    fix="End what an ordinary user or an unknown program serves; give the program and every folder "
    "on its way back to root.",
)
def test_ssh_server_programs(ssh_servers: SshServers, files: Files) -> None:
    """The program that takes passwords and starts shells as root must be the system's own. One
    that a user runs on a port of their own is a way in that no setting of sshd's closes."""
    servers = [each for each in ssh_servers.servers if isinstance(each, SshServer)]
    foreign = [f"{each} of uid {each.uids[1]}" for each in ssh_servers.foreign]
    expect(foreign, equals=[], what="SSH servers that ordinary users run")
    paths = {each.program.removesuffix(" (deleted)") for each in servers}
    for file in files.all(sorted(paths)):
        expect(file.writable_by_others(), equals=[], what=f"ways for others to change {file}")
    unseen = [each.reason for each in ssh_servers.servers if isinstance(each, Unseen)]
    if unseen:
        raise Unknown(unseen[0])
    if ssh_servers.others:
        named = sorted({f"{kind} ({process.name})" for kind, process in ssh_servers.others})
        raise Manual(f"who gets in by what is not OpenSSH: {', '.join(named)}", named)
    if not all(each.seen for each in servers):
        raise Unknown("which program serves SSH cannot be seen; needs root")
    if not servers:
        raise NotApplicable("no SSH server runs on this host")
