"""The formats a run can be reported in: what each is called, its file and what writes it."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from hullcheck.report.source import Source

__all__ = ["FORMATS", "Format", "MissingExtra", "needed", "write"]


class MissingExtra(Exception):
    """A format needs a library that is not installed; the text names the command that does it."""


@dataclass(frozen=True, slots=True)
class Format:
    """One format. Its module in this package has ``write(source, path)``.

    :param file: what it is called in a run directory; a folder where a format needs several.
    :param extra: the extra of the package that brings its library; empty if it needs none.
    """

    name: str
    file: str
    about: str
    module: str
    extra: str = ""


FORMATS = {
    each.name: each
    for each in (
        Format("html", "report.html", "one page that opens from disk, with the evidence", "html"),
        Format("xlsx", "report.xlsx", "a workbook to sample from", "xlsx", "xlsx"),
        Format("csv", "report.csv", "one row for each finding", "csv_file"),
        Format("markdown", "report.md", "for a ticket or a wiki", "markdown"),
        Format("junit", "junit.xml", "for a CI server", "junit"),
        Format("oscal", "oscal.json", "OSCAL Assessment Results 1.2", "oscal"),
        Format("xccdf", "xccdf.xml", "XCCDF 1.2, a TestResult for each host", "xccdf"),
        Format("ocsf", "ocsf.jsonl", "OCSF Compliance Findings, for a SIEM", "ocsf"),
        Format("sarif", "report.sarif", "SARIF 2.1.0, for code scanning", "sarif"),
        Format("summary", "summary.txt", "a few lines for mail or chat", "summary"),
        Format("prometheus", "hullcheck.prom", "metrics, for node_exporter", "prometheus"),
        Format("json", "report.json", "the run and all verdicts in one document", "json_file"),
    )
}


def needed(name: str) -> ModuleType:
    """Return the module that writes a format.

    :raises MissingExtra: its library is not installed.
    """
    chosen = FORMATS[name]
    try:
        return importlib.import_module(f"hullcheck.report.{chosen.module}")
    except ModuleNotFoundError as error:
        if not chosen.extra:
            raise
        raise MissingExtra(
            f"--report {name} needs {error.name}: pip install 'hullcheck[{chosen.extra}]'"
        ) from error


def write(name: str, source: Source, path: Path | None = None) -> Path:
    """Write one format.

    :param path: where; None: into the run directory under its usual name.
    :return: where it was written.
    :raises MissingExtra: its library is not installed.
    """
    place = path or source.path / FORMATS[name].file
    needed(name).write(source, place)
    return place
