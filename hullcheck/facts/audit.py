"""What the kernel's audit system records of a file, by the rules that are loaded."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.audit_rules import EXECUTION, Rule, configured_rules, parse_rules
from hullcheck.facts.files import File, Files
from hullcheck.facts.processes import Process, Processes
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.sockets import MACHINE, Sockets
from hullcheck.facts.texts import lines_of, texts
from hullcheck.transport import Answer, CannotAnswer, Want, session_of, want

__all__ = ["Audit", "audit"]

RULES = want("auditctl -l", meaning=(0, 1, 4, 127, 255))
STATUS = want("auditctl -s", meaning=(0, 1, 4, 127, 255))
NETLINK = want("cat /proc/net/netlink")
PLACE = want("stat -L -c %i /proc/self/ns/pid")
FILES = want("grep -H '' /etc/audit/audit.rules /etc/audit/rules.d/*.rules", meaning=(0, 1, 2))
WANTS = (RULES, STATUS, NETLINK, PLACE, MACHINE, FILES)

NUMBERS = ("enabled", "pid", "lost", "backlog", "backlog_limit")
WORDS = {"w": "writing", "a": "attribute changes", "x": "execution"}

AUDIT = "9"
"""NETLINK_AUDIT in linux/netlink.h."""

FIRST = "4026531836"
"""The first pid namespace's number (PROC_PID_INIT_INO); the kernel lists its rules there only."""

SENDERS = frozenset({
    "systemd", "systemd-journal", "systemd-logind", "systemd-update", "dbus-daemon", "dbus-broker",
    "dbus-broker-lau", "sshd", "sshd-session", "sshd-auth", "login", "agetty", "cron", "crond",
    "atd", "su", "sudo", "polkitd", "NetworkManager", "firewalld", "sssd_be", "sssd_pam",
    "gdm-session-wor", "lightdm", "sddm-helper",
})  # fmt: skip
"""Programs that open an audit socket to tell of logins and the like, and load no rules."""

SLACK = 1.5
"""Seconds by which a start time may be off."""

_ENGINES = re.compile("docker|containerd|runc")


@dataclass(frozen=True, slots=True)
class Reader:
    """An audit socket of a program: its inode, and whether it reads the kernel's records."""

    inode: int
    listens: bool


@dataclass(frozen=True, slots=True)
class State:
    """What the kernel's audit system is set to.

    :param trouble: why the kernel records nothing at all; empty if it does.
    :param status: what ``auditctl -s`` says: enabled, pid, lost, backlog, backlog_limit.
    :param rules: those loaded, in the order in which the kernel tries them.
    :param arches: the kinds of program that the machine may run: b64, b32.
    """

    trouble: str
    status: Mapping[str, int]
    rules: tuple[Rule, ...]
    arches: tuple[str, ...]
    readers: tuple[Reader, ...]


@dataclass(frozen=True)
class Audit:
    """The audit system of a host."""

    host: Host = field(repr=False)

    @fact
    def state(self) -> State:
        """What it is set to. :raises Unknown: that cannot be seen, and there may be rules."""
        return _state(self.host)

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The rules that are loaded. Raises like :attr:`state`."""
        return self.state.rules

    @fact
    def configured(self) -> dict[str, tuple[Rule, ...]]:
        """The rules in the files from which they are loaded at boot, by file.

        :raises Unknown: a file cannot be read or parsed.
        """
        return _configured(session_of(self.host).ask(FILES)[0])

    def look_up(self, targets: Iterable[File]) -> None:
        """Ask at once for what :meth:`gaps` needs to know of some files."""
        paths = [path for each in targets for path in self._paths(_on_host(self.host, each))]
        Files(self.host).all(dict.fromkeys(paths))

    def gaps(self, target: File, need: str, exempt: Collection[str] = ()) -> list[str]:
        """Return what the kernel does not record of a file, or of all below a directory.

        The kernel takes the first rule that matches an event (kernel/auditsc.c). A rule counts
        for all events, or not: one for some users, programs, outcomes or system calls only does
        not, and one that hides some of them makes a gap.

        :param need: which accesses must be recorded, of w (write), a (attributes), x (execute).
        :param exempt: programs whose own doings a rule may hide.
        :raises Unknown: it cannot be told, see :meth:`_late`.
        """
        if self.state.trouble:
            return [self.state.trouble]
        place = _on_host(self.host, target)
        paths = self._paths(place)
        known = dict(zip(paths, Files(self.host).all(paths), strict=True))
        found = [f"{rule} keeps records from being made" for rule in self.rules if rule.blinds]
        outcomes: dict[str, list[tuple[str, str]]] = {}
        for perm in need:
            for arch in self.state.arches:
                said = self._outcome(place, perm, arch, known, exempt)
                outcomes.setdefault(said, []).append((perm, arch))
        doubts = [said[1:] for said in outcomes if said.startswith("?")]
        clear = {said: pairs for said, pairs in outcomes.items() if said and said[0] != "?"}
        found += [f"{said} {self._what(pairs)}" for said, pairs in clear.items()]
        if doubts and not found:
            raise Unknown(doubts[0])
        return [*found, *self._hints(place, known)] if found else []

    def _paths(self, target: File) -> list[str]:
        """Return the paths of rules that may speak of a file, as far as their text can tell.

        The kernel follows all links of a rule's path but the last name, so this is among the
        names of the file's own path; what a rule hides may also lie below a directory.
        """
        names = {*target.resolved.split("/"), *target.path.split("/")}
        return list(
            dict.fromkeys(
                rule.path
                for rule in self.rules
                if rule.path and (rule.action == "never" or rule.path.split("/")[-1] in names)
            )
        )

    def _outcome(
        self, target: File, perm: str, arch: str, known: Mapping[str, File], exempt: Collection[str]
    ) -> str:
        """Return what is amiss with the record of one kind of access: nothing, or the beginning
        of a sentence; a doubt begins with ``?``."""
        limited, doubt = "", ""
        calls: frozenset[str] = frozenset()
        for rule in self.rules:
            whole = _relation(rule, target, known, perm)
            if rule.list != "exit" or whole is None or not rule.sees(perm, arch):
                continue
            if rule.action == "never":
                if not self.harmless(rule, exempt):
                    return f"{rule} hides"
                continue
            plain = whole and not rule.filters
            calls |= (rule.calls or frozenset()) if plain else frozenset()
            by_calls = rule.calls is None or (perm == "x" and calls >= EXECUTION)
            if not (plain and by_calls):
                limited = limited or f"{rule} records only some"
            elif not (late := self._late(rule, known)):
                return ""
            else:
                doubt = f"?{late}"
        return doubt or limited or "no rule records"

    def harmless(self, rule: Rule, exempt: Collection[str]) -> bool:
        """Whether a rule hides nothing: it is for exempt programs, or for labels of a security
        module that is not there, which match nothing (kernel/auditfilter.c)."""
        if len(rule.filters) == 1 and rule.filters[0].removeprefix("exe=") in exempt:
            return True
        labelled = any(re.match(r"subj_(?!role)|obj_(?!uid|gid)", each) for each in rule.filters)
        return labelled and not {"selinuxfs", "smackfs"} & get(self.host, "kernel").filesystems

    def _late(self, rule: Rule, known: Mapping[str, File]) -> str:
        """Return why a rule may not watch a directory's content.

        ``-w`` on a path where nothing is yet watches one inode, also when this becomes a
        directory later; ``auditctl -l`` shows it like a watch of the tree.
        """
        place, pid = known.get(rule.path), self.state.status["pid"]
        if not pid or rule.kind != "watch" or place is None or place.kind != "directory":
            return ""
        processes: Processes = get(self.host, "processes")
        daemon = processes.get(pid)
        text = session_of(self.host).ask(_birth(rule.path))[0].text.strip()
        if daemon is None or not text.isdecimal() or int(text) <= daemon.started + SLACK:
            return ""
        return (
            f"{rule.path} was made after the audit daemon started: whether {rule} watches what"
            " lies in it cannot be told; -a always,exit -F arch=… -F dir=… can be"
        )

    def _what(self, pairs: list[tuple[str, str]]) -> str:
        perms = list(dict.fromkeys(perm for perm, _ in pairs))
        arches = {arch for _, arch in pairs}
        *most, last = (WORDS[perm] for perm in perms)
        words = f"{', '.join(most)} and {last}" if most else last
        whom = {"b64": " by 64-bit programs", "b32": " by 32-bit programs"}
        return words if len(arches) == len(self.state.arches) else words + whom[min(arches)]

    def _hints(self, target: File, known: Mapping[str, File]) -> Iterator[str]:
        """Say which rules seem to be for a file, and are not: those for a link to it, and those
        that stand in a file only."""
        for path, place in known.items():
            if place.is_link and place.exists and place.resolved == target.resolved:
                yield f"the rule for {path} watches that link, not where it leads"
        try:
            files = self.configured
        except Unknown:
            return
        loaded = {rule.path for rule in self.rules}
        for path, rules in files.items():
            for rule in rules:
                above = target.resolved == rule.path or target.resolved.startswith(f"{rule.path}/")
                if rule.path and above and rule.path not in loaded:
                    yield f"{rule} stands in {path} and is not loaded"


def _relation(rule: Rule, target: File, known: Mapping[str, File], perm: str) -> bool | None:
    """Return whether a rule speaks of all of a file (True), of a part (False), not of it (None).

    The kernel does not follow a link that is the last name of a rule's path (audit_get_nd in
    audit_watch.c, audit_add_tree_rule in audit_tree.c): it watches the link.
    """
    if not rule.kind:
        return True
    place = known.get(rule.path)
    if place is None or place.is_link or not place.exists:
        return None
    here, there = place.resolved, target.resolved
    if here.startswith(f"{there}/"):
        return False
    tree = rule.kind == "dir" or (rule.kind == "watch" and place.kind == "directory")
    if tree:
        return True if f"{there}/".startswith(f"{here.rstrip('/')}/") else None
    if here == there:
        return target.kind != "directory"
    # Who makes, renames or removes a file touches the directory's inode too.
    return False if perm == "w" and here == (there.rpartition("/")[0] or "/") else None


def _on_host(host: Host, target: File) -> File:
    """Return a file by the path that the host has for it, for rules are made of these.

    :raises Unknown: an engine sees another file there than the host.
    """
    inside = re.fullmatch(r"/proc/\d+/root(/.*)", target.path)
    if not inside:
        return target
    files: Files = get(host, "files")
    own = files.get(inside[1])
    same = own.exists and (own.present.device, own.present.inode) == (
        target.present.device, target.present.inode,
    )  # fmt: skip
    if not same:
        raise Unknown(f"{inside[1]} of the engine's own mount namespace is no file of the host's")
    return own


def _birth(path: str) -> Want:
    return want("stat -c %%W -- %s", path, meaning=(0, 1))


@provide
def audit(host: Host) -> Audit:
    """The kernel's audit system."""
    session_of(host).foresee(*WANTS)
    return Audit(host)


def _state(host: Host) -> State:
    session = session_of(host)
    rules, status, netlink, place, machine, _ = session.ask(*WANTS)
    readers = _readers(netlink)
    arches = ("b64", "b32") if machine.text.strip() == "x86_64" else _own_arch(machine.text.strip())
    if readers is None:
        boot = get(host, "kernel").cmdline.get("audit", ("",))[-1]
        why = f"it was booted with audit={boot}" if boot in ("0", "off") else "it was built without"
        return State(f"the kernel cannot audit: {why}", {}, (), arches, ())
    if rules.exit == 127:
        return State(_without_tool(host, place, readers), {}, (), arches, readers)
    for each in (rules, status):
        if each.exit:
            raise Unknown(
                f"the kernel's audit rules cannot be listed: {each.complaint or 'no reason given'};"
                " needs root, outside of any container"
            )
    numbers = _numbers(status)
    loaded = _loaded(rules)
    hints = [each.path for each in loaded if each.path and _ENGINES.search(each.path)]
    Files(host).foresee(hints)
    session.foresee(*map(_birth, hints))
    off = "" if numbers["enabled"] else "auditing is switched off (auditctl -s: enabled 0)"
    return State(off, numbers, loaded, arches, readers)


def _own_arch(machine: str) -> tuple[str, ...]:
    return ("b64",) if machine.endswith(("64", "64le", "390x")) else ("b32",)


def _readers(answer: Answer) -> tuple[Reader, ...] | None:
    """Return the programs' audit sockets of ``/proc/net/netlink``; None: the kernel has none.

    :raises CannotAnswer: it is not that table.
    """
    heading, *rows = [line.split() for line in lines_of(answer)] or [[]]
    if heading[:4] != ["sk", "Eth", "Pid", "Groups"] or any(len(row) != 10 for row in rows):
        raise CannotAnswer("/proc/net/netlink is not as expected")
    own = [row for row in rows if row[1] == AUDIT]
    if not own:
        return None
    return tuple(Reader(int(row[9]), bool(int(row[3], 16) & 1)) for row in own if row[2] != "0")


def _numbers(answer: Answer) -> dict[str, int]:
    rows = (line.partition(" ") for line in lines_of(answer))
    found = {name: int(value) for name, _, value in rows if name in NUMBERS and value.isdecimal()}
    missing = [name for name in NUMBERS if name not in found]
    if missing:
        raise CannotAnswer(f"auditctl -s does not tell {missing[0]}")
    return found


def _loaded(answer: Answer) -> tuple[Rule, ...]:
    try:
        return parse_rules("\n".join(lines_of(answer)))
    except ValueError as damage:
        raise CannotAnswer(f"auditctl -l: {damage}") from None


def _configured(answer: Answer) -> dict[str, tuple[Rule, ...]]:
    found: dict[str, tuple[Rule, ...]] = {}
    for path, text in texts(answer).items():
        if isinstance(text, Unknown):
            raise text
        try:
            found[path] = configured_rules(text)
        except ValueError as damage:
            raise Unknown(f"{path}: {damage}") from None
    return found


def _without_tool(host: Host, place: Answer, readers: tuple[Reader, ...]) -> str:
    """Return why nothing is recorded on a host without auditctl.

    Rules stay loaded when what loaded them has ended, so it is told from what would have: tools,
    files, programs with an audit socket, and the thread that the kernel starts with the first
    rule on a directory (audit_launch_prune in audit_tree.c).

    :raises Unknown: there may be rules.
    """
    without = "there is no auditctl to list the kernel's audit rules, and"
    if place.text.strip() != FIRST:
        raise Unknown(f"{without} this host is a container: its machine's rules would count")
    files = _configured(session_of(host).ask(FILES)[0])
    if any(files.values()):
        raise Unknown(f"{without} {next(path for path in files if files[path])} has some")
    processes: Processes = get(host, "processes")
    if any(each.name.startswith("audit_prune_tre") for each in processes):
        raise Unknown(f"{without} some have been loaded since the host was booted")
    for each in _holders(host, processes, readers):
        if each.name not in SENDERS:
            raise Unknown(f"{without} {each} may have loaded some")
    return "no audit rules: there is no auditctl, no rules file and no program that would load any"


def _holders(host: Host, processes: Processes, readers: Iterable[Reader]) -> list[Process]:
    """Return who holds audit sockets; one that was closed meanwhile has no holder."""
    sockets: Any = get(host, "sockets") if readers else None
    found: Sockets = sockets
    pids = [pid for each in readers for pid in found.holders.of(each.inode)]
    return [process for pid in pids if (process := processes.get(pid))]
