"""Comparing versions as a package manager does, and the numbers of a program's own version."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cmp_to_key
from itertools import zip_longest
from typing import Any

__all__ = ["COMPARE", "compare_apk", "compare_dpkg", "compare_rpm", "newest", "numbers"]

Compare = Callable[[str, str], int]

_RPM_PARTS = re.compile(r"[0-9]+|[a-zA-Z]+|~|\^")
_APK = re.compile(r"([0-9.]+)([a-z]?)((?:_[a-z]+[0-9]*)*)(?:-r([0-9]+))?")
_APK_SUFFIXES = ("alpha", "beta", "pre", "rc", "", "cvs", "svn", "git", "hg", "p")
_DIGITS = 18
"""More digits than a number in a version has; a longer one is hostile."""


def numbers(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version: ``v1.3.3-rc.1`` has 1, 3 and 3; none if it has
    none."""
    found = re.match(r"v?([0-9]{1,9}(?:\.[0-9]{1,9}){0,5})", text)
    return tuple(map(int, found[1].split("."))) if found else ()


def compare_dpkg(left: str, right: str) -> int:
    """Compare as deb-version(7) says: epoch, upstream version, revision."""
    one, two = _debian(left), _debian(right)
    if one[0] != two[0]:
        return _sign(one[0], two[0])
    return _debian_part(one[1], two[1]) or _debian_part(one[2], two[2])


def _debian(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon or not re.fullmatch("[0-9]{1,9}", epoch):
        epoch, rest = "0", version
    upstream, dash, revision = rest.rpartition("-")
    return (int(epoch), upstream, revision) if dash else (int(epoch), rest, "0")


def _debian_part(left: str, right: str) -> int:
    one, two = (re.findall(r"([^0-9]*)([0-9]*)", each) for each in (left, right))
    for (text, number), (other_text, other) in zip_longest(one, two, fillvalue=("", "")):
        places = zip_longest(_weights(text), _weights(other_text), fillvalue=0)
        found = next((_sign(a, b) for a, b in places if a != b), 0)
        found = found or _sign(_number(number), _number(other))
        if found:
            return found
    return 0


def _weights(text: str) -> list[int]:
    """``~`` before the end, the end before letters, letters before all else."""
    return [-1 if each == "~" else ord(each) + (0 if each.isalpha() else 256) for each in text]


def compare_rpm(left: str, right: str) -> int:
    """Compare EPOCH:VERSION-RELEASE as rpm-version(7) says; a missing epoch is 0."""
    one, two = _rpm(left), _rpm(right)
    if one[0] != two[0]:
        return _sign(one[0], two[0])
    return _rpm_part(one[1], two[1]) or _rpm_part(one[2], two[2])


def _rpm(version: str) -> tuple[int, str, str]:
    epoch, colon, rest = version.partition(":")
    if not colon:
        epoch, rest = "0", version
    upstream, _, release = rest.partition("-")
    return (int(epoch) if re.fullmatch("[0-9]{1,9}", epoch) else 0), upstream, release


def _rpm_part(left: str, right: str) -> int:
    for one, two in zip_longest(_RPM_PARTS.findall(left), _RPM_PARTS.findall(right)):
        found = _rpm_segment(one, two)
        if found:
            return found
    return 0


def _rpm_segment(one: str | None, two: str | None) -> int:
    if one == two:
        return 0
    for mark in "~^":
        if mark in (one, two):
            # ~ sorts before the end, ^ after it and before all else.
            wins = -1 if mark == "~" or (two if one == mark else one) is not None else 1
            return wins if one == mark else -wins
    if one is None or two is None:
        return -1 if one is None else 1
    if one.isdigit() != two.isdigit():
        return 1 if one.isdigit() else -1
    return _sign(_number(one), _number(two)) if one.isdigit() else _sign(one, two)


def compare_apk(left: str, right: str) -> int:
    """Compare as apk-tools does: numbers, a letter, suffixes such as _rc1, the revision."""
    one, two = _apk(left), _apk(right)
    if one is None or two is None:
        return compare_dpkg(left, right)
    return _sign(one, two)


def _apk(version: str) -> tuple[list[int], str, list[tuple[int, int]], int] | None:
    found = _APK.fullmatch(version)
    if not found:
        return None
    parts = [_number(each) for each in found[1].split(".")]
    suffixes = []
    for name, number in re.findall(r"_([a-z]+)([0-9]*)", found[3]):
        if name not in _APK_SUFFIXES:
            return None
        suffixes.append((_APK_SUFFIXES.index(name), _number(number)))
    end = (_APK_SUFFIXES.index(""), 0)
    return parts, found[2], [*suffixes, end], _number(found[4] or "")


def _number(text: str) -> int:
    return int(text[:_DIGITS] or "0")


def _sign(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


COMPARE: dict[str, Compare] = {
    "dpkg": compare_dpkg, "rpm": compare_rpm, "apk": compare_apk, "pacman": compare_rpm,
}  # fmt: skip
"""How a package manager compares versions."""


def newest(versions: list[str], manager: str) -> str:
    """Return the newest of some versions."""
    return max(versions, key=cmp_to_key(COMPARE[manager]))
