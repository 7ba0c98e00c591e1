"""Flaws of the processor, in the kernel's words (arch/x86/kernel/cpu/bugs.c and its kin)."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Flaw"]


@dataclass(frozen=True, slots=True)
class Flaw:
    """What the kernel says of one flaw.

    It has parts, as in "Mitigation: Retpolines; IBPB: conditional; BHI: Vulnerable".
    """

    name: str
    said: str

    def __str__(self) -> str:
        return f"{self.name} ({self.said})"

    @property
    def _parts(self) -> list[str]:
        return [each.strip() for each in re.split(r"[;,]", self.said)]

    @property
    def open(self) -> bool:
        """Whether programs can use it. What is said of KVM and VMX is of virtual machines."""
        inner = [each for each in self._parts if not each.startswith(("KVM:", "VMX:"))]
        return any(re.match(r"([\w-]+: )?Vulnerable\b", each) for each in inner)

    @property
    def unsettled(self) -> bool:
        """Whether the kernel cannot tell: a hypervisor decides, or the vendor has gone silent."""
        return self.said.startswith("Unknown")

    @property
    def across_threads(self) -> bool | None:
        """Whether it is left open between the threads of a core; None: the kernel cannot tell."""
        parts = self.said.split("; ")
        return (
            True
            if "SMT vulnerable" in parts
            else None
            if "SMT Host state unknown" in parts
            else False
        )
