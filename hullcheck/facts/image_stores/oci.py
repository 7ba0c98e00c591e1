"""An image's configuration (OCI image specification, config.md) in the words of Docker's
``inspect``, and the history that it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from hullcheck.control import Unknown
from hullcheck.facts.docker.shapes import IMAGE, misfit
from hullcheck.facts.images import Step

__all__ = ["described", "document", "steps"]


def document(text: str) -> dict[str, Any]:
    """Return a JSON object. :raises Unknown: it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Unknown("what is kept of it is not JSON") from None
    if not isinstance(found, dict):
        raise Unknown("what is kept of it is no JSON object")
    return found


def described(number: str, whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a configuration says, but for names. :raises Unknown: it is none."""
    root = whole.get("rootfs")
    layers = root.get("diff_ids") if isinstance(root, dict) else None
    told = {
        "Id": number, "Config": whole.get("config") or {}, "Created": whole.get("created") or "",
        "RootFS": {"Layers": layers},
        "Architecture": whole.get("architecture"), "Os": whole.get("os"),
        "History": whole.get("history") or [],
    }  # fmt: skip
    wrong = misfit(told, IMAGE)
    if wrong or not isinstance(layers, list):
        raise Unknown(f"what is kept of it is no configuration: {wrong or 'rootfs'}")
    return told


def steps(told: Mapping[str, Any]) -> list[Step]:
    """Return the history of a described image. :raises Unknown: it has none, or nonsense."""
    if "History" not in told:
        raise Unknown("its configuration, which holds its history, is not known")
    found = []
    for each in told["History"] if isinstance(told["History"], list) else [None]:
        if not isinstance(each, dict):
            raise Unknown("its history is nonsense")
        by, said = each.get("created_by") or "", each.get("comment") or ""
        if not isinstance(by, str) or not isinstance(said, str):
            raise Unknown("its history is nonsense")
        found.append(Step(by, said, 0 if each.get("empty_layer") is True else 1))
    return found
