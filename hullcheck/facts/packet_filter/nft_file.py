"""What a file for ``nft -f`` will do: as far as its blocks tell, without nft's whole language."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hullcheck.control import Unknown

__all__ = ["incoming"]

Statement = list["str | Block"]
Block = list["Statement"]

_TOKEN = re.compile(r'"[^"\n]*"|#[^\n]*|\\\n|[{};\n]|[^\s{};"#\\]+|\S')
_DEPTH = 12
_FINAL = frozenset({"drop", "reject"})
_BARE = frozenset({"counter", "log", "prefix", "accept", *_FINAL})


def incoming(text: str, family: int) -> str:
    """Return what a file does with what strangers send to the host: denied, open (it holds no
    chain that sees that, or an empty one that accepts), or unsure.

    :raises Unknown: its blocks make no sense.
    """
    tokens = iter([each for each in _TOKEN.findall(text) if each[0] not in "#\\"])
    found = [_verdict(each, family) for each in _block(tokens, 0)]
    return next((each for each in ("denied", "unsure") if each in found), "open")


def _block(tokens: Iterator[str], depth: int) -> Block:
    """Read statements up to the brace that closes them; one may hold blocks: ``chain``, a set."""
    if depth > _DEPTH:
        raise Unknown("nftables' file has too many blocks in each other")
    found: Block = []
    statement: Statement = []
    for token in tokens:
        if token == "{":
            statement.append(_block(tokens, depth + 1))
        elif token in (";", "\n", "}"):
            found += [statement] if statement else []
            statement = []
            if token == "}":
                return found
        else:
            statement.append(token)
    if depth:
        raise Unknown("nftables' file ends in the midst of a block")
    return [*found, statement] if statement else found


def _verdict(statement: Statement, family: int) -> str:
    if statement[0] in ("include", "add", "create", "insert"):
        return "unsure"
    words = [each for each in statement if isinstance(each, str)]
    if words[0] != "table" or isinstance(statement[-1], str):
        return "open"
    own = words[1] if len(words) > 2 else "ip"
    if own not in ("inet", "ip" if family == 4 else "ip6"):
        return "open"
    found = [_chain(each[-1]) for each in statement[-1]
             if each[0] == "chain" and not isinstance(each[-1], str)]  # fmt: skip
    return next((each for each in ("denied", "unsure") if each in found), "open")


def _chain(block: Block) -> str:
    lines = [[each for each in line if isinstance(each, str)] for line in block]
    if not any({"hook", "input"} <= set(each) for each in lines):
        return "open"
    policy = next((each[1] for each in lines if each[0] == "policy" and len(each) > 1), "accept")
    rules = [each for each in block if "hook" not in each and each[0] != "policy"]
    plain = [set(map(str, each)) - {"counter"} for each in rules if _bare(each)]
    denies = policy == "drop" or (bool(rules) and _bare(rules[-1]) and bool(plain[-1] & _FINAL))
    if denies:
        return "unsure" if {"accept"} in plain else "denied"
    return "unsure" if rules else "open"


def _bare(statement: Statement) -> bool:
    """Whether a rule holds for every packet."""
    return all(
        isinstance(each, str) and (each in _BARE or each.startswith('"')) for each in statement
    )
