"""Why the OpenSSH client could not connect, read from its log at ``LogLevel=DEBUG1``."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from hullcheck.transport.known_hosts import verify
from hullcheck.transport.ssh_config import Settings
from hullcheck.transport.want import Unreachable

__all__ = ["explain"]

_KINDS = (
    ("host-key", r"Host key verification failed|host key is known for|IDENTIFICATION HAS CHANGED"),
    ("authentication", r"Too many authentication failures|Permission denied \("),
    ("name", r"Could not resolve hostname|Bad configuration option|no argument after keyword"),
    ("timeout", r"timed out|Timeout, server"),
    ("refused", r"Connection refused|No route to host|Network is unreachable"),
)
_ADVICE = {
    "name": "correct it, or give the host an address in ~/.ssh/config or in the inventory",
    "timeout": "see that the host is up and that no firewall is in between, or allow more with "
    "--connect-timeout",
    "refused": "see that sshd runs there, and that the port is right",
    "lost": "try ssh -v to see more",
}


def explain(logs: Sequence[tuple[Settings, str]]) -> Unreachable:
    """Return what to say of a connection that did not come about.

    :param logs: every hop, nearest to us first, with its client's log.
    """
    for position, (hop, log) in enumerate(logs):
        if stuck := re.search(r"open failed: (.*)", log):
            beyond = logs[min(position + 1, len(logs) - 1)][0]
            return Unreachable(
                "refused",
                f"{beyond.alias}: its jump host {hop.alias} could not reach {beyond.place}: "
                f"{stuck[1].strip()}",
            )
        for kind, pattern in _KINDS:
            if re.search(pattern, log):
                return _said(kind, pattern, hop, log)
    hop, log = logs[-1]
    return _said("lost", "", hop, log)


def _said(kind: str, pattern: str, hop: Settings, log: str) -> Unreachable:
    if kind == "host-key":
        return _host_key(hop, log)
    if kind == "authentication":
        return _authentication(hop, log)
    words = [line for line in _words(log) if re.search(pattern, line)] or _words(log)
    said = words[-1] if words else "ssh ended without a word"
    return Unreachable(kind, f"{hop.alias}: {hop.place}: {said}: {_ADVICE[kind]}")


def _words(log: str) -> list[str]:
    """Return what ssh said, without what only developers read."""
    lines = [line.strip() for line in log.splitlines()]
    return [line for line in lines if line and not re.match(r"debug\d: |OpenSSH_|@", line)]


def _host_key(hop: Settings, log: str) -> Unreachable:
    offered = re.search(r"Server host key: (\S+) (SHA256:\S+)", log)
    label = hop.alias if hop.alias == hop.hostname else f"{hop.alias} ({hop.hostname})"
    if offered and "Server host certificate" not in log:
        try:
            verify(label, hop.key_names, hop.known_hosts, offered[1], offered[2], "ssh")
        except Unreachable as refusal:
            return refusal
    return Unreachable("host-key", f"{label}: {' '.join(_words(log))}")


def _authentication(hop: Settings, log: str) -> Unreachable:
    keys = [found.strip() for found in re.findall(r"Offering public key: (.*?) SHA256:", log)]
    offers = f"tried {', '.join(keys)}" if keys else "there was no key to try"
    who = f"{hop.alias}: {hop.hostname} did not let {hop.user} in"
    if "Too many authentication failures" in log:
        return Unreachable(
            "authentication",
            f"{who}: too many keys were offered before the right one ({offers}): name the key with "
            "IdentityFile and set IdentitiesOnly yes for this host",
        )
    denied = re.search(r"Permission denied \([^)]*\)", log)
    return Unreachable(
        "authentication",
        f"{who} ({denied[0] if denied else 'permission denied'}): {offers}; see which user and key "
        f"ssh {shlex.quote(hop.alias)} uses, and add keys that have a passphrase to the agent",
    )
