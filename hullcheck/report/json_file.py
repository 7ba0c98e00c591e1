"""JSON: the run and all its verdicts in one document, as run.json and verdicts.jsonl have them."""

from __future__ import annotations

import json
from pathlib import Path

from hullcheck.report.source import Source

__all__ = ["write"]


def write(source: Source, path: Path) -> None:
    """Write a run as one JSON document; the verdicts are copied line by line."""
    head = json.dumps({**source.document, "verdicts": []}, ensure_ascii=True, indent=1)
    before, after = head.rsplit("[]", 1)
    with (
        path.open("w", encoding="utf-8") as file,
        (source.path / "verdicts.jsonl").open(encoding="utf-8") as lines,
    ):
        file.write(f"{before}[")
        for number, line in enumerate(lines):
            # Escaped, so that no bidirectional mark reaches whoever looks at the file.
            file.write("\n  " if number == 0 else ",\n  ")
            file.write(json.dumps(json.loads(line), ensure_ascii=True))
        file.write(f"\n ]{after}\n")
