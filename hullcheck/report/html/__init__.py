"""HTML: one file that opens from disk, with all of a run that somebody needs to look at."""

from hullcheck.report.html.page import write

__all__ = ["write"]
