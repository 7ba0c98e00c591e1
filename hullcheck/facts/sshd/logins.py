"""How a server lets people in: by what alone, and whom not at all."""

from __future__ import annotations

from collections.abc import Iterator

from hullcheck.control import Unknown
from hullcheck.facts.sshd.conditions import Who, listed
from hullcheck.facts.sshd.server import SshServer

__all__ = ["forwardings", "guessable", "keeps_out"]

STRONG = frozenset({"publickey", "gssapi-with-mic", "gssapi-keyex", "hostbased"})
GUESSABLE = {"password": "passwordauthentication",
             "keyboard-interactive": "kbdinteractiveauthentication"}  # fmt: skip


def guessable(server: SshServer, who: Who | None = None) -> list[str]:
    """Return the ways to log in by nothing but what can be guessed, one sentence each.

    AuthenticationMethods may ask for a key as well; without PAM, keyboard-interactive asks
    nobody anything (auth2-chall.c has no other device on Linux).

    :param who: whose login; None for anybody's.
    :raises Unknown: the server does not tell.
    """
    open_ways: dict[str, str] = {}
    for method, keyword in GUESSABLE.items():
        for value in server.values(keyword, who):
            if value.text == "yes":
                open_ways.setdefault(method, value.where)
    if "keyboard-interactive" in open_ways and "yes" not in server.texts("usepam", who):
        del open_ways["keyboard-interactive"]
    found: dict[str, None] = {}
    for wanted in server.values("authenticationmethods", who):
        for methods in _lists(wanted.text):
            if methods <= open_ways.keys():
                used = sorted(methods or open_ways)
                found.update((f"{each} ({open_ways[each]})", None) for each in used)
    return list(found)


def _lists(text: str) -> Iterator[frozenset[str]]:
    """Yield the lists of AuthenticationMethods; an empty one stands for any single method."""
    for each in text.split():
        names = frozenset(name.partition(":")[0] for name in each.split(",") if name)
        unknown = names - STRONG - GUESSABLE.keys() - {"any", "none"}
        if unknown:
            raise Unknown(f"AuthenticationMethods {text[:80]!r} has what is no method")
        yield frozenset() if names == {"any"} else names


def keeps_out(server: SshServer, who: Who) -> bool:
    """Whether lists of users and groups keep an account out, whatever it can prove.

    Where a Match block changes one of the lists, they are not believed to.
    """
    lists = ("denyusers", "allowusers", "denygroups", "allowgroups")
    if any(each.keyword in lists for each in server.settings.conditional):
        return False
    users, groups = frozenset({who.name}), who.groups
    words = {each: [word for value in server.values(each) for word in value.words]
             for each in lists}  # fmt: skip
    plain = [word for word in words["denyusers"] if "@" not in word]
    allowed = [word.partition("@")[0] for word in words["allowusers"]]
    return bool(
        any(listed(each, users) for each in plain)
        or any(listed(each, groups) for each in words["denygroups"])
        or (allowed and not any(listed(each, users) for each in allowed))
        or (words["allowgroups"] and not any(listed(e, groups) for e in words["allowgroups"]))
    )


FORWARDINGS = {"tcp": "allowtcpforwarding", "agent": "allowagentforwarding",
               "stream": "allowstreamlocalforwarding", "tunnel": "permittunnel",
               "gateway": "gatewayports"}  # fmt: skip


def forwardings(server: SshServer) -> dict[str, str]:
    """Return what a server forwards for some login (tcp, agent …), and where that is said."""
    if server.texts("disableforwarding") == {"yes"}:
        return {}
    found: dict[str, str] = {}
    for name, keyword in FORWARDINGS.items():
        for value in server.values(keyword):
            if value.text != "no":
                found.setdefault(name, value.where)
    if "tcp" not in found:
        found.pop("gateway", None)
    return found
