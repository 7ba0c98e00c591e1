"""Which system calls the kernel's audit system records, by the rules that are loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from hullcheck.facts.audit import Audit
from hullcheck.facts.audit_rules import Rule

__all__ = ["call_gaps"]

MOUNTS = frozenset({"mount", "move_mount"})
"""Calls that name files; of the others a rule for a file can hide nothing."""

STORES = (
    "/var/lib/docker", "/var/lib/containerd", "/var/lib/containers", "/run/containerd",
    "/run/docker", "/run/containers", "/run/user", "/var/lib/kubelet", "/var/lib/rancher",
)  # fmt: skip
"""Where engines mount, all day long."""


def call_gaps(audit: Audit, calls: Iterable[str], exempt: Collection[str] = ()) -> list[str]:
    """Return which of some system calls are not recorded whoever makes them.

    The first rule that matches an event decides (kernel/auditsc.c). One for some users or files
    only leaves the rest out: what a container's root does has no login, so ``auid>=1000`` never
    speaks of it.

    :param exempt: programs whose own calls a rule may hide.
    :raises Unknown: the rules cannot be listed.
    """
    state = audit.state
    if state.trouble:
        return [state.trouble]
    found = [
        f"{rule} keeps records from being made"
        for rule in state.rules
        if rule.blinds and rule.list != "filesystem"
    ]
    outcomes: dict[str, list[tuple[str, str]]] = {}
    for call in calls:
        for arch in state.arches:
            said = _outcome(audit, call, arch, exempt)
            if said:
                outcomes.setdefault(said, []).append((call, arch))
    return [*found, *(f"{said} {_what(pairs, state.arches)}" for said, pairs in outcomes.items())]


def _outcome(audit: Audit, call: str, arch: str, exempt: Collection[str]) -> str:
    limited = ""
    for rule in audit.rules:
        if not _speaks_of(rule, call, arch):
            continue
        if rule.action == "never":
            if not audit.harmless(rule, exempt):
                return f"{rule} hides"
        elif rule.filters or rule.path:
            limited = limited or f"{rule} records only some uses of"
        else:
            return ""
    return limited or "no rule records"


def _speaks_of(rule: Rule, call: str, arch: str) -> bool:
    """Whether a rule may match a call; one by permissions is for calls that touch files."""
    if rule.list != "exit" or arch not in rule.arches or rule.perms is not None:
        return False
    if rule.action == "never" and rule.path and not (call in MOUNTS and _of_host(rule.path)):
        return False
    named = rule.calls is None or call in rule.calls
    # auditctl prints the numbers of calls that it has no names for.
    unnamed = rule.action == "never" and any(each.isdecimal() for each in rule.calls or ())
    return named or unnamed


def _of_host(path: str) -> bool:
    return not any(f"{path}/".startswith(f"{each}/") for each in STORES)


def _what(pairs: list[tuple[str, str]], arches: Collection[str]) -> str:
    calls = dict.fromkeys(call for call, _ in pairs)
    partial = [call for call in calls if sum(each == call for each, _ in pairs) < len(arches)]
    shown = ", ".join(calls)
    only = {arch for call, arch in pairs if call in partial}
    if partial == list(calls) and len(only) == 1:
        return f"{shown} by {'64' if only == {'b64'} else '32'}-bit programs"
    return shown
