"""Who may become root through sudo or doas, and how.

Of all rules that match a user, this host and a command, the last decides (sudoers(5), doas.conf
(5)). A command that is taken away again from ALL counts for nothing: sudoers(5) itself warns that a
copy under another name gets around it.
"""

from __future__ import annotations

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable
from hullcheck.facts.accounts import Accounts, User
from hullcheck.facts.doas import parse_doas
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.root_ways import Way, way_of
from hullcheck.facts.sudo_files import FIRST, NAME, VERSION, Source, SudoFiles
from hullcheck.facts.sudoers import ANYWHERE, Command, Default, Member, Rule
from hullcheck.transport import session_of

__all__ = ["EVERYBODY", "Grant", "Sudo", "sudo"]

EVERYBODY = "everybody"
ROOT = User("root", 0, 0, "/root", "")
STRANGER = User("", -1, -1, "", "")
POWERFUL = ("root", "docker", "lxd", "incus-admin", "microk8s", "disk", "shadow", "sudo", "wheel")
"""Groups whose rights are root's, or lead to them."""

OWN_PASSWORD = ("rootpw", "targetpw", "runaspw")
"""Settings by which sudo asks for the password of the account that one becomes."""

_ADDRESS = re.compile(r"[0-9.]+(/[0-9.]+)?|[0-9A-Fa-f:.]*:[0-9A-Fa-f:./]*")


@dataclass(frozen=True, slots=True)
class Grant:
    """One thing that a user may do as root.

    :param user: a name; :data:`EVERYBODY` for accounts that no rule names.
    :param password: whether they are asked for a password.
    """

    user: str
    command: str
    way: Way
    password: bool
    where: str

    def __str__(self) -> str:
        return f"{self.user}: {self.command} ({self.where})"


def _group_key(name: str) -> str | int:
    return int(name[1:]) if re.fullmatch(r"#\d+", name) else name


class _Policy:
    """One sudo's rules, asked about users of this host. What cannot be told becomes a doubt."""

    def __init__(self, source: Source, accounts: Accounts, hostname: str) -> None:
        self.source, self.accounts, self.hostname = source, accounts, hostname
        self.doubts: list[str] = list(source.doubts)
        self._members: dict[str, frozenset[str]] = {}
        accounts.foresee_groups(map(_group_key, self.groups()))

    def _doubt(self, why: str) -> None:
        if why not in self.doubts:
            self.doubts.append(why)

    def _alias(self, kind: str, member: Member | Command) -> Sequence[object] | None:
        return self.source.aliases.get((kind, member.text))

    def of_user(self, members: Iterable[object], user: User, kind: str, depth: int = 0) -> bool:
        """Whether a list of users takes one in: the last member that fits him decides."""
        found = False
        for member in members:
            if isinstance(member, Member) and depth < 12 and self._is(member, user, kind, depth):
                found = not member.negated
        return found

    def _is(self, member: Member, user: User, kind: str, depth: int) -> bool:
        text = member.text
        inner = None if member.quoted else self._alias(kind, member)
        if inner is not None:
            return self.of_user(inner, user, kind, depth + 1)
        if text == "ALL" and not member.quoted:
            return True
        if text.startswith(("+", "%:")):
            self._doubt(f"who is in {text} is known to a directory service alone")
            return False
        if text.startswith("%"):
            return user is not STRANGER and self._in_group(text[1:], user)
        if re.fullmatch(r"#-?\d+", text):
            return user.uid == int(text[1:]) % 2**32
        return user.name == text

    def groups(self) -> set[str]:
        """Return the names of groups that the rules speak of."""
        lists: list[Iterable[object]] = [each.users for each in self.source.rules]
        lists += [each.runas or () for each in self.source.rules]
        lists += self.source.aliases.values()
        lists += [each.members for each in self.source.defaults]
        texts = {each.text for some in lists for each in some if isinstance(each, Member)}
        return {each[1:] for each in texts if each.startswith("%") and not each.startswith("%:")}

    def members(self, name: str) -> frozenset[str]:
        """Return who is in a group, by its name or ``#NUMBER``."""
        if name not in self._members:
            self._members[name] = self.accounts.members(_group_key(name))
        return self._members[name]

    def _in_group(self, name: str, user: User) -> bool:
        return user.name in self.members(name)

    def of_host(self, members: Iterable[object], depth: int = 0) -> bool:
        """Whether a list of hosts takes this one in; an address or a netgroup may be its own."""
        found = False
        for member in members:
            if not isinstance(member, Member) or depth > 12:
                continue
            inner = self._alias("host", member)
            if inner is not None:
                fits = self.of_host(inner, depth + 1)
            elif member.text.startswith("+") or _ADDRESS.fullmatch(member.text):
                self._doubt(f"whether {member.text} is this host cannot be told")
                continue
            else:
                fits = member.text == "ALL" or self._named(member.text)
            found = (not member.negated) if fits else found
        return found

    def _named(self, pattern: str) -> bool:
        own, wanted = self.hostname.lower(), pattern.lower()
        if "." not in wanted or "." not in own:
            own, wanted = own.partition(".")[0], wanted.partition(".")[0]
        return fnmatch.fnmatchcase(own, wanted)

    def rooted(self, rule: Rule) -> bool:
        """Whether what it runs may run as root, or as somebody with root's rights."""
        if rule.runas is None:
            return True
        if self.of_user(rule.runas, ROOT, "runas"):
            return True
        known = {each.name: each for each in self.accounts.users}
        groups = [each for each in self.accounts.groups if each.name in POWERFUL]
        powerful = {name for each in groups for name in self.accounts.members(each)} - {"root"}
        if any(self.of_user(rule.runas, known[each], "runas") for each in powerful & known.keys()):
            return True
        names = {each.text for each in rule.groups if not each.negated}
        opened = {name for name in names if self.source.aliases.get(("runas", name))}
        inner = {str(each) for name in opened for each in self.source.aliases["runas", name]}
        return bool((names | inner) & {*POWERFUL, "ALL", "#0"})

    def commands(self, command: Command, depth: int = 0) -> Iterator[Command]:
        """Yield the commands that one stands for."""
        inner = self._alias("command", command)
        if inner is None or depth > 12:
            yield command
            return
        for each in inner:
            if isinstance(each, Command):
                negated = each.negated != command.negated
                once = Command(each.text, each.arguments, negated)
                yield from self.commands(once, depth + 1)

    def setting(self, name: str, user: User, command: Command | None = None) -> bool | None:
        """Whether a flag is on or off for a user and a command; None if nothing says so.

        Those of commands are read last, those of users before them.
        """
        found = None
        for scope in ("", "@", ":", ">", "!"):
            for each in self.source.defaults:
                if each.name == name and each.scope == scope and self._binds(each, user, command):
                    found = each.on and each.value != "false"
        return found

    def _binds(self, setting: Default, user: User, command: Command | None) -> bool:
        if setting.scope == "@":
            return self.of_host(setting.members)
        if setting.scope in (":", ">"):
            who, kind = (user, "user") if setting.scope == ":" else (ROOT, "runas")
            return self.of_user(setting.members, who, kind)
        if setting.scope == "!":
            named = [one for each in setting.members if isinstance(each, Command)
                     for one in self.commands(each)]  # fmt: skip
            return any(command is not None and one.text in ("ALL", command.text) for one in named)
        return True

    def grants(self, user: User) -> list[Grant]:
        """Return what a user may do as root, by the last rule for each command."""
        found: dict[str, Grant] = {}
        for rule in self.source.rules:
            if not (self.of_user(rule.users, user, "user") and self.of_host(rule.hosts)):
                continue
            if not self.rooted(rule):
                continue
            for command in self.commands(rule.command):
                if command.text == "ALL":
                    found.clear()
                if command.negated:
                    continue
                grant = self._grant(user, rule, command)
                found.pop(str(command), None)
                if grant:
                    found[str(command)] = grant
        return list(found.values())

    def _grant(self, user: User, rule: Rule, command: Command) -> Grant | None:
        asks = self.setting("authenticate", user, command) is not False
        exempt = [each.value for each in self.source.defaults if each.name == "exempt_group"]
        if any(each.on for each in self.source.defaults if each.name == "exempt_group"):
            asks = asks and not any(self._in_group(name, user) for name in exempt if name)
        asks = (asks and "NOPASSWD" not in rule.tags) or "PASSWD" in rule.tags
        if asks and any(self.setting(name, user, command) for name in OWN_PASSWORD):
            return None
        way = way_of(command)
        # With LD_PRELOAD, or a root directory of the user's own, any command is every command.
        steered = self.setting("setenv", user, command) and "NOSETENV" not in rule.tags
        if way is Way.NONE and command.text != "list":
            own = steered or "SETENV" in rule.tags or ANYWHERE in rule.tags
            way = Way.ROOT if own else way
        if way is Way.UNCLEAR:
            self._doubt(f"what {command} lets through ({rule.where}) cannot be told")
        return Grant(user.name or EVERYBODY, str(command), way, asks, rule.where)

    def named(self) -> set[str]:
        """Return the names of users and of groups' members that the rules speak of."""
        lists: list[Iterable[object]] = [rule.users for rule in self.source.rules]
        lists += [inner for (kind, _), inner in self.source.aliases.items() if kind == "user"]
        found: set[str] = set()
        for member in (each for some in lists for each in some if isinstance(each, Member)):
            text = member.text
            if text.startswith("%") and not text.startswith("%:"):
                found |= self.members(text[1:])
            elif not text.startswith(("+", "%", "#")) and ("user", text) not in self.source.aliases:
                found.add(text)
        return found - {"ALL"}


class Sudo:
    """The rules of sudo and doas on one host."""

    def __init__(self, host: Host, files: SudoFiles) -> None:
        self.host, self.files = host, files

    @fact
    def _judged(self) -> tuple[list[Grant], list[str]]:
        """All grants, and what may be beside them."""
        accounts: Accounts = get(self.host, "accounts")
        hostname = session_of(self.host).ask(NAME)[0].text.strip()
        grants: list[Grant] = []
        doubts = list(self.files.doubts)
        for source in self.files.sources:
            policy = _Policy(source, accounts, hostname)
            grants += _all_grants(policy, accounts)
            doubts += [each for each in policy.doubts if each not in doubts]
        doas, unclear = _doas(self.files.doas, accounts)
        return grants + doas, [*doubts, *unclear]

    @property
    def grants(self) -> list[Grant]:
        """What users beside root may do as root."""
        return self._judged[0]

    @property
    def doubts(self) -> list[str]:
        """Why somebody may be allowed more than :attr:`grants` says; [] if nobody may."""
        return self._judged[1]

    @property
    def programs(self) -> dict[str, str]:
        """The programs that rules name by a path without a pattern, and where."""
        found: dict[str, str] = {}
        for source in self.files.sources:
            listed = [(each.command, each.where) for each in source.rules]
            for (kind, _), inner in source.aliases.items():
                if kind == "command":
                    listed += [(each, source.root) for each in inner if isinstance(each, Command)]
            for command, where in listed:
                if re.fullmatch(r"/[^*?\[\\]+", command.text) and not command.negated:
                    found.setdefault(posixpath.normpath(command.text), where)
        return found

    def settings(self, name: str) -> list[Default]:
        """Return every setting of a name, in the order in which they are read."""
        return [each for source in self.files.sources for each in source.defaults
                if each.name == name]  # fmt: skip

    @property
    def version(self) -> tuple[int, ...]:
        """The version of sudo; () if it does not tell, or is another program of that name."""
        answer = session_of(self.host).ask(VERSION)[0]
        found = re.match(r"Sudo version (\d+)\.(\d+)\.(\d+)", answer.text)
        return tuple(map(int, found.groups())) if found else ()


def _all_grants(policy: _Policy, accounts: Accounts) -> list[Grant]:
    everybody = policy.grants(STRANGER)
    known = {each.name: each for each in accounts.users if each.uid != 0}
    for name in policy.named() - known.keys() - {"root"}:
        known[name] = User(name, -2, -2, "", "")
    found = list(everybody)
    open_to_all = {(each.command, each.password) for each in everybody}
    for user in known.values():
        found += [each for each in policy.grants(user)
                  if (each.command, each.password) not in open_to_all]  # fmt: skip
    return found


def _doas(texts: dict[str, str], accounts: Accounts) -> tuple[list[Grant], list[str]]:
    """Return what doas lets users do as root, and the lines that cannot be understood."""
    rules, troubles = [], list[str]()
    for path, text in texts.items():
        some, broken = parse_doas(path, text)
        rules += some
        troubles += [f"{each} cannot be understood" for each in broken]
    grants: list[Grant] = []
    users = {each.name: each.uid for each in accounts.users if each.uid != 0}
    users |= {each.identity: -2 for each in rules
              if not each.identity.startswith(":") and each.identity not in ("root", "0")
              and not each.identity.isdecimal() and each.identity not in users}  # fmt: skip
    for name, uid in users.items():
        found: dict[str, Grant] = {}
        for rule in rules:
            group = rule.identity[1:] if rule.identity.startswith(":") else None
            mine = rule.identity in (name, str(uid)) if group is None else (
                name in accounts.members(int(group) if group.isdecimal() else group)
            )  # fmt: skip
            if not mine or rule.target not in ("", "root", "0"):
                continue
            arguments = None if rule.arguments is None else " ".join(rule.arguments)
            command = Command(rule.command or "ALL", arguments)
            if not rule.command:
                found.clear()
            found.pop(str(command), None)
            if rule.permit:
                asks = "nopass" not in rule.options
                text = command.text if command.text.startswith("/") else f"/usr/bin/{command.text}"
                way = Way.ROOT if not rule.command else way_of(Command(text, arguments))
                found[str(command)] = Grant(name, str(command), way, asks, rule.where)
        grants += found.values()
    return grants, troubles


@provide
def sudo(host: Host) -> Sudo:
    """The rules of sudo and doas. :raises NotApplicable: the host has neither."""
    session_of(host).foresee(FIRST, VERSION, NAME)
    files: SudoFiles = get(host, "sudo_files")
    if not (files.sources or files.doas or files.doubts):
        raise NotApplicable("this host has no rules of sudo or doas")
    return Sudo(host, files)
