"""What a control says of facts that are made by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hullcheck.control import Manual, NotApplicable, Outcome, Unknown, expectations

__all__ = ["outcome"]

WORDS = {NotApplicable: "not-applicable", Unknown: "unknown", Manual: "manual"}


def outcome(control: Callable[..., None], *facts: Any) -> str:
    """Return the status of one control for some facts, in the order of its parameters."""
    raised: Outcome | None = None
    with expectations() as stated:
        try:
            control(*facts)
        except Outcome as error:
            raised = error
    if any(not each.holds for each in stated):
        return "fail"
    return WORDS[type(raised)] if raised else "pass"
