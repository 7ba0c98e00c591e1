"""The settings of an SSH server: what holds for everybody, and what a Match block may change.

``sshd -T`` tells what holds where no Match block does. A block overrides that, and of several
that hold the first one counts (sshd_config(5); servconf.c, parse_server_match_config), so that
each is one more value that a keyword may have.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from hullcheck.control import Unknown
from hullcheck.facts.sshd.conditions import Who, applies
from hullcheck.facts.sshd.config_text import ALIASES, Setting

__all__ = ["Settings", "Value", "from_dropbear", "from_files", "from_tool", "number", "seconds"]

UPSTREAM: dict[str, str] = {
    "permitrootlogin": "prohibit-password", "passwordauthentication": "yes",
    "kbdinteractiveauthentication": "yes", "pubkeyauthentication": "yes", "usepam": "no",
    "permitemptypasswords": "no", "hostbasedauthentication": "no", "ignorerhosts": "yes",
    "x11forwarding": "no", "permituserenvironment": "no", "strictmodes": "yes",
    "loglevel": "INFO", "maxauthtries": "6", "logingracetime": "120",
    "maxstartups": "10:30:100", "clientaliveinterval": "0", "clientalivecountmax": "3",
    "allowtcpforwarding": "yes", "allowstreamlocalforwarding": "yes", "gatewayports": "no",
    "allowagentforwarding": "yes", "permittunnel": "no", "disableforwarding": "no",
    "authenticationmethods": "any", "authorizedkeysfile":
    ".ssh/authorized_keys .ssh/authorized_keys2", "authorizedkeyscommand": "none",
    "authorizedprincipalscommand": "none", "authorizedprincipalsfile": "none",
    "trustedusercakeys": "none", "revokedkeys": "none", "requiredrsasize": "1024",
    "gssapiauthentication": "no", "gssapikeyexchange": "no", "kerberosauthentication": "no",
    "pidfile": "/run/sshd.pid",
}  # fmt: skip
"""What sshd does by itself, the same from OpenSSH 7.4 to 10; sshd_config(5)."""

HOST_KEYS = tuple(f"/etc/ssh/ssh_host_{kind}_key" for kind in ("rsa", "ecdsa", "ed25519"))

MANY = frozenset({
    "acceptenv", "allowusers", "allowgroups", "denyusers", "denygroups", "hostkey", "port",
    "hostcertificate", "listenaddress", "subsystem", "setenv", "persourcepenalties",
    "persourcepenaltyexemptlist", "logverbose",
})  # fmt: skip
"""Keywords whose lines add up, and which ``sshd -T`` leaves out where there is none."""

NEWER = {"requiredrsasize": "1024", "disableforwarding": "no", "gssapikeyexchange": "no",
         "gssapiauthentication": "no", "kerberosauthentication": "no"}  # fmt: skip
"""Keywords that an older sshd, or one built without them, does not tell, and what it does."""

_TIME = re.compile(r"(\d{1,9})([smhdw]?)", re.IGNORECASE)
_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_LISTS = re.compile(r"ciphers|macs|algorithms$")


@dataclass(frozen=True, slots=True)
class Value:
    """One value that a keyword may have, and where that is said."""

    text: str
    where: str

    @property
    def words(self) -> list[str]:
        return self.text.split(" ") if self.text else []


@dataclass(frozen=True)
class Settings:
    """The settings of a server.

    :param common: keyword -> its lines, as they are where no Match block holds.
    :param conditional: what stands in Match blocks, in order.
    :param source: where ``common`` is from, for a person.
    :param unset: what holds for keywords that are not in ``common``.
    """

    common: Mapping[str, tuple[str, ...]]
    conditional: tuple[Setting, ...] = ()
    source: str = "sshd -T"
    unset: Mapping[str, str] = field(default_factory=dict, repr=False)

    def values(self, keyword: str, who: Who | None = None) -> list[Value]:
        """Return every value that a keyword may have for some login.

        :param who: whose login; None for anybody's.
        :raises Unknown: the server does not tell.
        """
        found: list[Value] = []
        for setting in self.conditional:
            holds = applies(setting.matches, who) if setting.keyword == keyword else False
            if holds is not False:
                found.append(Value(_plain(keyword, " ".join(setting.words)), setting.where))
            if holds and keyword not in MANY:
                return found
        if not (found and keyword in MANY and self._always(keyword, who)):
            found += self._common(keyword)
        return found

    def _always(self, keyword: str, who: Who | None) -> bool:
        """Whether some block that sets a keyword certainly holds, and so overrides the rest."""
        return any(
            applies(each.matches, who) for each in self.conditional if each.keyword == keyword
        )

    def _common(self, keyword: str) -> list[Value]:
        lines = self.common.get(keyword, ())
        if lines or keyword in MANY:
            return [Value(_plain(keyword, each), self.source) for each in lines]
        if keyword not in self.unset:
            raise Unknown(f"{self.source} does not tell {keyword}")
        return [Value(self.unset[keyword], "its own default")]

    def texts(self, keyword: str, who: Who | None = None) -> set[str]:
        """Return the texts of all values that a keyword may have."""
        return {each.text for each in self.values(keyword, who)}

    def default(self, keyword: str) -> str:
        """Return what holds where no Match block does, in one line."""
        return " ".join(each.text for each in self._common(keyword))


def _plain(keyword: str, text: str) -> str:
    """Return a value in its usual notation."""
    low = text.lower()
    if low in ("true", "false"):
        low = "yes" if low == "true" else "no"
    if low in ("without-password", "yes", "no", "none", "any", "all", "local", "remote"):
        return "prohibit-password" if low == "without-password" else low
    return text.upper() if keyword == "loglevel" else text


def seconds(text: str) -> int:
    """Return a time as sshd_config(5) writes it. :raises Unknown: it is none."""
    if text in ("0", "none"):
        return 0
    if not re.fullmatch(rf"(?:{_TIME.pattern})+", text, re.IGNORECASE):
        raise Unknown(f"{text[:40]!r} is no time")
    return sum(int(number) * _UNITS[unit.lower()] for number, unit in _TIME.findall(text))


def number(text: str) -> int:
    """Return a value that is one number. :raises Unknown: it is none."""
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise Unknown(f"{text[:40]!r} is no number")
    return int(text)


def from_tool(lines: Iterable[str], conditional: Iterable[Setting], source: str) -> Settings:
    """Make settings of what ``sshd -T`` printed.

    :raises Unknown: that is not what it prints.
    """
    common: dict[str, list[str]] = {}
    for line in lines:
        keyword, space, value = line.strip().partition(" ")
        if not re.fullmatch(r"[a-z0-9]{2,60}", keyword):
            raise Unknown(f"{source} printed what is no setting: {line[:60]!r}")
        if space:
            common.setdefault(ALIASES.get(keyword, keyword), []).append(value.strip())
    if not {"port", "permitrootlogin", "ciphers"} <= common.keys():
        raise Unknown(f"{source} does not tell all settings")
    return Settings(_frozen(common), tuple(conditional), source, NEWER)


def from_files(settings: Iterable[Setting], source: str) -> Settings:
    """Make settings of the files alone, with what sshd does by itself for the rest.

    Which algorithms those are depends on its version and on who built it.
    """
    common: dict[str, list[str]] = {}
    conditional = []
    for each in settings:
        if each.matches:
            conditional.append(each)
        elif each.keyword in MANY or each.keyword not in common:
            common.setdefault(each.keyword, []).append(" ".join(each.words))
    signed = [key for key, value in common.items() if _LISTS.search(key) and value[0][:1] in "+-^"]
    for keyword in signed:
        del common[keyword]
    common.setdefault("hostkey", list(HOST_KEYS))
    return Settings(_frozen(common), tuple(conditional), source, UPSTREAM)


def _frozen(common: Mapping[str, list[str]]) -> dict[str, tuple[str, ...]]:
    return {key: tuple(value) for key, value in common.items()}


def from_dropbear(options: Mapping[str, list[str]]) -> Settings:
    """Make settings of a dropbear's command line; see dropbear(8)."""

    def one(letter: str, given: str, otherwise: str) -> str:
        return given if letter in options else otherwise

    root = one("w", "no", "prohibit-password" if options.keys() & {"g", "s"} else "yes")
    folder = options.get("D", [".ssh"])[-1]
    both = options.keys() >= {"j", "k"}
    common = {
        "permitrootlogin": root, "passwordauthentication": one("s", "no", "yes"),
        "kbdinteractiveauthentication": "no", "usepam": "no", "hostbasedauthentication": "no",
        "authenticationmethods": one("t", "publickey,password", "any"), "ignorerhosts": "yes",
        "permitemptypasswords": one("B", "yes", "no"), "permituserenvironment": "no",
        "strictmodes": "yes", "maxauthtries": options.get("T", ["10"])[-1],
        "gatewayports": one("a", "yes", "no"), "permittunnel": "no",
        "allowtcpforwarding": "no" if both else "yes", "disableforwarding": "no",
        "authorizedkeysfile": f"{folder}/authorized_keys", "authorizedkeyscommand": "none",
        "authorizedprincipalscommand": "none", "authorizedprincipalsfile": "none",
        "trustedusercakeys": "none", "revokedkeys": "none", "requiredrsasize": "1024",
        "clientaliveinterval": options.get("K", ["0"])[-1], "clientalivecountmax": "3",
        "gssapiauthentication": "no", "kerberosauthentication": "no", "loglevel": "INFO",
    }  # fmt: skip
    keys = options.get("r") or [f"/etc/dropbear/dropbear_{kind}_host_key"
                                for kind in ("rsa", "ecdsa", "ed25519")]  # fmt: skip
    lines: Iterator[tuple[str, tuple[str, ...]]] = ((key, (each,)) for key, each in common.items())
    known = dict(lines) | {"hostkey": tuple(keys)}
    if "G" in options:
        known["allowgroups"] = tuple(options["G"])
    return Settings(known, (), "dropbear's command line")
