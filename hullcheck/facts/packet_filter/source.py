"""How the packet filter of a host is asked for: of nftables, and of both kinds of iptables.

``nft`` knows all of nftables; ``iptables-save`` knows better what iptables itself put there, as
nft's JSON does not tell the options of its extensions. The older tables of iptables ("legacy") are
apart, may be in force beside nftables, and are listed in ``/proc/net/ip_tables_names``.

No question loads a module: what is not in the kernel is not asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.packet_filter.iptables import Saved, parse_save
from hullcheck.facts.packet_filter.loaders import FILES, HINTS
from hullcheck.facts.packet_filter.model import Table
from hullcheck.facts.packet_filter.nft import parse_ruleset
from hullcheck.facts.packet_filter.ruleset import PacketFilter
from hullcheck.facts.registry import provide
from hullcheck.facts.routes import DEVICES, FORWARDING, STATE
from hullcheck.transport import Answer, CannotAnswer, session_of, want

__all__ = ["LEGACY", "LISTED", "NFT", "SAVE", "packet_filter"]

_IN_KERNEL = (
    "if [ -d /sys/module/nf_tables ] || [ ! -e /proc/modules ]; then k=0; "
    "else grep -q ' nft_do_chain$' /proc/kallsyms; k=$?; fi; "
)
"""A symbol of nf_tables tells whether it is built in; a kernel without modules loads none."""

_ABSENT = "# not in the kernel"
_ELSE = f"elif [ $k = 1 ]; then echo '{_ABSENT}'; else false; fi"

_DONE = "# that was all"
"""Said after the rules: no rules are an answer, no words are none."""

NFT = want(
    _IN_KERNEL + "if ! command -v nft >/dev/null; then echo '# no nft'; "
    "elif [ $k = 0 ]; then nft -j list ruleset; " + _ELSE,
)

SAVE = {
    family: want(
        _IN_KERNEL + f"if ! command -v {name}-save >/dev/null; then echo '# no {name}-save'; "
        f"else case $({name}-save -V 2>/dev/null) in *nf_tables*) "
        f"if [ $k = 0 ]; then {name}-save && echo '{_DONE}'; " + _ELSE + f";; *) "
        f"if [ -e /proc/net/{table}_tables_names ]; then {name}-save && echo '{_DONE}'; "
        f"else echo '{_ABSENT}'; fi;; esac; fi",
    )
    for family, name, table in ((4, "iptables", "ip"), (6, "ip6tables", "ip6"))
}

LEGACY = {
    family: want(
        f"if [ ! -e /proc/net/{table}_tables_names ]; then echo '{_ABSENT}'; "
        f"elif command -v {name}-legacy-save >/dev/null; "
        f"then {name}-legacy-save && echo '{_DONE}'; "
        f"else echo '# no {name}-legacy-save'; fi",
    )
    for family, name, table in ((4, "iptables", "ip"), (6, "ip6tables", "ip6"))
}

LISTED = want(
    'for f in ip ip6; do p=/proc/net/${f}_tables_names; if [ ! -e $p ]; then echo "$f none"; '
    'elif [ -r $p ]; then echo "$f read"; sed "s/^/$f table /" $p; else echo "$f denied"; fi; done'
)
"""Which tables iptables-legacy has made; only root may read it."""

_ROOT = "the packet filter shows itself to root only (needs root)"
_NAMES = {4: "ip", 6: "ip6"}


@provide
def packet_filter(host: Host) -> PacketFilter:
    """What filters packets on the host, in its own network namespace.

    :raises Unknown: it cannot be asked, or its answer is damaged.
    """
    session_of(host).foresee(STATE, FORWARDING, DEVICES, FILES, HINTS)
    listed, nft, *rest = session_of(host).ask(LISTED, NFT, *SAVE.values(), *LEGACY.values())
    saves, legacies = (
        dict(zip(SAVE, rest[:2], strict=True)),
        dict(zip(LEGACY, rest[2:], strict=True)),
    )
    old, denied = _listed(listed)
    if denied:
        raise Unknown(_ROOT)
    native = _text(nft)
    tables: list[Table] = []
    hidden: list[str] = []
    for family in (4, 6):
        saved = parse_save(_whole(saves[family]), family)
        legacy = saved if not saved.native and saved.tables else parse_save(
            _whole(legacies[family]), family
        )  # fmt: skip
        tables += _united(saved, legacy)
        unseen = old[family] - {each.name.split(" ")[1] for each in legacy.tables}
        if unseen:
            hidden.append(f"iptables-legacy is not there to show its tables {_said(unseen)}")
        if saved.hidden and "no nft" in native:
            hidden.append(saved.hidden)
    if not native.startswith("#"):
        own = {each.native for each in tables}
        tables += [each for each in parse_ruleset(native) if each.native not in own]
    asked = [text for text in (native, *map(_text, saves.values())) if not text.startswith("# no ")]
    if not asked and not tables:
        raise Unknown("neither nft nor iptables-save is there to show the packet filter")
    return PacketFilter(tuple(tables), tuple(hidden), native.startswith("# no nft"))


def _united(saved: Saved, legacy: Saved) -> tuple[Table, ...]:
    return saved.tables if legacy is saved else (*saved.tables, *legacy.tables)


def _said(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _text(answer: Answer) -> str:
    """Return what a tool printed. :raises Unknown: it was refused, or has failed."""
    try:
        return answer.text
    except CannotAnswer as trouble:
        if re.search(r"ermission denied|not permitted|must be root", str(trouble)):
            raise Unknown(_ROOT) from None
        raise


def _whole(answer: Answer) -> str:
    """Return what iptables-save printed, or why it did not. :raises Unknown: it broke off."""
    text = _text(answer)
    if not any(text.endswith(f"{each}\n") for each in (_DONE, _ABSENT)) and text[:5] != "# no ":
        raise Unknown("iptables-save ended before it had printed all")
    return text


def _listed(answer: Answer) -> tuple[dict[int, set[str]], bool]:
    found: dict[int, set[str]] = {4: set(), 6: set()}
    families = {name: number for number, name in _NAMES.items()}
    denied, heads = False, set()
    for line in answer.text.splitlines():
        words = line.split()
        if len(words) == 3 and words[1] == "table" and words[0] in families:
            found[families[words[0]]].add(words[2])
        elif len(words) == 2 and words[0] in families and words[1] in ("none", "read", "denied"):
            heads.add(words[0])
            denied = denied or words[1] == "denied"
        else:
            raise Unknown("/proc/net does not tell which tables of iptables there are")
    if heads != set(families):
        raise Unknown("/proc/net does not tell which tables of iptables there are")
    return found, denied
