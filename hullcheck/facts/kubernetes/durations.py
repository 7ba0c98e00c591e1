"""Spans of time as Go writes them (time.ParseDuration): 1h30m, 60s, 500ms."""

from __future__ import annotations

import re

from hullcheck.control import Unknown

__all__ = ["seconds_of"]

_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = r"(\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})(h|ms|m|s|us|µs|ns)"


def seconds_of(text: str, what: str) -> float:
    """Return how many seconds a span has. :raises Unknown: it is none."""
    if text in ("0", "+0", "-0"):
        return 0.0
    if len(text) > 100 or not re.fullmatch(rf"[+-]?(?:{_PART})+", text):
        raise Unknown(f"{what} is {text[:40]!r}, which is no span of time")
    total = sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text))
    return -total if text.startswith("-") else total
