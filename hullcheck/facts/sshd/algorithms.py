"""Names of SSH algorithms: which are too weak, and what a list with a sign in front stands for.

Judged by what a name contains, not by equality with a list of today: RFC 9142 (key exchange),
RFC 8758 (arcfour), RFC 4253, NIST SP 800-131A; the names stand in PROTOCOL and servconf.c.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from hullcheck.facts.sshd.conditions import listed

__all__ = ["resolved", "weak"]

CIPHERS = re.compile(r"cbc|3des|des(?!\w)|arcfour|rc4|blowfish|cast128|idea|^none\b")
MACS = re.compile(r"md5|sha1(?!\d)|sha$|umac-64|ripemd|^none\b|-96\b")
EXCHANGES = re.compile(r"sha1(?!\d)|group1-|md5|rsa1024")
KEYS = re.compile(r"dss|^ssh-rsa(?!\w)|^x509v3-(?:sign-rsa|ssh-rsa)$|rsa-sha1|md5|^pgp|^null\b")
_KINDS = {"ciphers": CIPHERS, "macs": MACS, "kexalgorithms": EXCHANGES,
          "gssapikexalgorithms": EXCHANGES}  # fmt: skip
_EXAMPLES = (
    "3des-cbc", "aes128-cbc", "arcfour", "hmac-sha1", "hmac-md5", "umac-64@openssh.com",
    "diffie-hellman-group1-sha1", "diffie-hellman-group14-sha1", "ssh-rsa", "ssh-dss",
    "ssh-rsa-cert-v01@openssh.com",
)  # fmt: skip
"""What a list that is a pattern may bring."""


def weak(keyword: str, names: Iterable[str]) -> list[str]:
    """Return the weak ones of some algorithms that a keyword of sshd_config(5) lists."""
    pattern = _KINDS.get(keyword, KEYS)
    examples = [each for each in _EXAMPLES if pattern.search(each)]
    return [
        each
        for each in names
        if pattern.search(each.lower()) or (re.search(r"[*?]", each) and listed(each, examples))
    ]


def resolved(text: str, default: Iterable[str]) -> list[str]:
    """Return what a list stands for: ``+`` appends to the default, ``^`` puts before it, ``-``
    takes patterns away."""
    sign, names = (text[0], text[1:]) if text[:1] in ("+", "^", "-") else ("", text)
    own = [each for each in names.split(",") if each]
    if not sign:
        return own
    if sign == "-":
        return [each for each in default if not listed(names, {each})]
    return list(dict.fromkeys([*own, *default] if sign == "^" else [*default, *own]))
