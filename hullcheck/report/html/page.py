"""The page itself, from its template; scripts and styles are allowed by their digest alone."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from hullcheck.report.html import pictures
from hullcheck.report.html.view import ORDER, View, gather
from hullcheck.report.source import Source

__all__ = ["render", "write"]

HERE = Path(__file__).parent


def write(source: Source, path: Path) -> None:
    """Write a run as one HTML file."""
    path.write_text(render(gather(source)), encoding="utf-8")


def render(view: View) -> str:
    """Return the page of a view."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    style, script = ((HERE / name).read_text() for name in ("page.css", "page.js"))
    worst_hosts = sorted(view.hosts, key=lambda host: -_weight(host.totals))[: view.limits.matrix]
    telling = [each for each in view.controls if each.bad]
    return environment.get_template("page.html.j2").render(
        view=view,
        run=view.source.run,
        order=ORDER,
        style=style,
        script=script,
        policy=f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'",
        names=[host.name for host in view.hosts],
        total=pictures.bar(view.source.totals),
        areas={area: pictures.bar(counts) for area, counts in view.areas.items()},
        trend=pictures.trend(view.before),
        matrix=pictures.matrix(worst_hosts, telling),
        shown_hosts=len(worst_hosts),
    )


def _digest(text: str) -> str:
    made = hashlib.sha256(text.encode()).digest()
    return f"sha256-{base64.b64encode(made).decode()}"


def _weight(totals: dict[str, int]) -> int:
    return totals.get("fail", 0) * 1000 + totals.get("unknown", 0) + totals.get("error", 0)
