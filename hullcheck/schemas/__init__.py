"""JSON Schemas (2020-12) of what a run directory holds: ``run``, ``verdict``, ``evidence``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["schema"]


def schema(name: str) -> dict[str, Any]:
    """Return the schema of ``run.json``, or of a line of verdicts or of a recording.

    :param name: run, verdict or evidence.
    :raises FileNotFoundError: there is no such schema.
    """
    path = Path(__file__).parent / f"{name}.schema.json"
    loaded: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return loaded
