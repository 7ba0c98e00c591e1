"""Hosts with files of package managers, made of what the sweep over them would say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hullcheck.facts.automatic import APT_CONFIG
from hullcheck.facts.package_files import SWEEP, kind_of
from hullcheck.facts.texts import END
from tests.unit.fake import Reply

__all__ = ["package_answers"]


def package_answers(
    files: Mapping[str, str] | None = None,
    hidden: Sequence[str] = (),
    apt: Reply = (127, ""),
    homes: Sequence[str] = ("/root", "/home/bob"),
) -> dict[str, Reply]:
    """Return what a host with these files answers.

    :param hidden: further lines of the sweep, as ``hidden /root``.
    """
    lines = [*(f"= home {each}" for each in homes), *(f"= {each}" for each in hidden)]
    for path in files or {}:
        kind = kind_of(path)
        assert kind, path
        lines.append(f"= file {kind} {path}")
    for path, text in (files or {}).items():
        lines += [f"{path}:{line}" for line in text.splitlines()]
    return {SWEEP.command: "\n".join([*lines, END]) + "\n", APT_CONFIG.command: apt}
