"""pytest hooks: each control becomes one item per host, judged by the same audit as the CLI.

A host is audited whole when its first item runs; the other items read their verdict. pytest's
own ideas (selection with -k, -x, reports, --junitxml) work as they do with any test.
"""

from __future__ import annotations

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from testinfra.host import Host

from hullcheck import facts
from hullcheck.control import Control, NotApplicable, control_of
from hullcheck.facts.kubernetes.requests import is_of_cluster
from hullcheck.report.publish import Publication, add_publishing, publication
from hullcheck.report.table import render
from hullcheck.report.text import safe
from hullcheck.run.audit import HostAudit, Subject, audit_host
from hullcheck.run.directory import RunDirectory, read_evidence, read_verdicts
from hullcheck.run.options import Request, UsageError, add_options, prepare
from hullcheck.transport.adopt import adopt
from hullcheck.transport.target import CLUSTER
from hullcheck.verdict import Status, Verdict

__all__: list[str] = []

KEY: pytest.StashKey[Audits] = pytest.StashKey()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add Hullcheck's options to those of testinfra (--hosts, --sudo, --ssh-config …)."""
    group = parser.getgroup("hullcheck", "hullcheck: audit hosts that carry containers")
    # Only pytest itself may add lower-case short options by the public function.
    add_options(group._addoption)
    add_publishing(group._addoption)


def pytest_configure(config: pytest.Config) -> None:
    """Prepare the audit that the options ask for; wrong ones end pytest with exit code 2."""
    config.stash[KEY] = Audits(config)
    adopt()


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    """Read an inventory before anything is collected, so that a mistake is told once."""
    if session.config.option.inventory:
        session.config.stash[KEY].prepare()


@pytest.hookimpl(tryfirst=True)
def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Look into the area build too: what is called so pytest passes over (norecursedirs)."""
    area = collection_path.name == "build" and collection_path.parent.name == "checks"
    return False if area and (collection_path / "__init__.py").is_file() else None


def pytest_pycollect_makeitem(
    collector: pytest.Module, name: str, obj: object
) -> list[ControlItem] | None:
    """Make a control one item per host."""
    made = control_of(obj)
    if made is None or made.function.__module__ != collector.obj.__name__:
        return None
    return [
        ControlItem.from_parent(
            collector, name=f"{name}[{subject.target.name}]", control=made, subject=subject
        )
        for subject in collector.config.stash[KEY].request.subjects
        if subject.target.scheme != CLUSTER or is_of_cluster(made.inputs)
    ]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the items of one host together, so that one host after the other is connected to."""
    controls = [item for item in items if isinstance(item, ControlItem)]
    if controls:
        order = [each.target.name for each in config.stash[KEY].request.subjects]
        controls.sort(key=lambda item: order.index(item.subject.target.name))
        others = [item for item in items if not isinstance(item, ControlItem)]
        items[:] = [*others, *controls]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Open the run directory, before any host is connected to."""
    items = [item for item in session.items if isinstance(item, ControlItem)]
    if items and not session.config.option.collectonly:
        session.config.stash[KEY].open(items)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Note in the run directory that the run is whole."""
    session.config.stash[KEY].finish()


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Print the table after pytest's own report of failures."""
    table = config.stash[KEY].table(terminalreporter.hasmarkup, config.option.verbose > 0)
    if table:
        terminalreporter.section("hullcheck")
        terminalreporter.write_line(table)


def _fixture(name: str) -> Any:
    """Return a fixture that gives an ordinary testinfra test a fact, or skips it."""

    @pytest.fixture(name=name)
    def of(host: Host) -> Any:
        try:
            return facts.get(host, name)
        except NotApplicable as reason:
            pytest.skip(safe(f"not-applicable: {reason}"))

    of.__doc__ = facts.PROVIDERS[name].function.__doc__
    return of


globals().update({f"fixture_{name}": _fixture(name) for name in facts.PROVIDERS})


class Audits:
    """The audits of one pytest session: asked for by the options, made when items run."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._request: Request | None = None
        self._publication: Publication
        self._directory: RunDirectory | None = None
        self._selected: tuple[Control, ...] = ()
        self._audits: dict[str, HostAudit] = {}

    @property
    def request(self) -> Request:
        """What the options ask for. Wrong options end pytest with exit code 2."""
        return self._request or self.prepare()

    def prepare(self) -> Request:
        """Read what the options name. Wrong ones end pytest with exit code 2."""
        options = self._config.option
        given = options.hosts.split(",") if options.hosts else []
        specs = given or ([] if options.inventory else ["local://"])
        try:
            self._request = prepare(options, specs, ())
            self._publication = publication(options, self._request.benchmark)
        except UsageError as error:
            pytest.exit(str(error), returncode=2)
        for note in self._request.notes:
            self._config.issue_config_time_warning(UserWarning(safe(note)), 2)
        return self._request

    def open(self, items: list[ControlItem]) -> None:
        """Make the run directory for the controls that were selected."""
        if hasattr(self._config, "workerinput"):
            pytest.exit("controls do not run under pytest-xdist; use hullcheck audit", 2)
        self._selected = tuple({item.control.id: item.control for item in items}.values())
        self._request = self.request.with_controls(self._selected)
        try:
            self._directory = self._request.open()
        except UsageError as error:
            pytest.exit(str(error), returncode=2)

    def of(self, subject: Subject) -> HostAudit:
        """Return the audit of a host, made now if it was not made before."""
        name = subject.target.name
        if name not in self._audits:
            assert self._directory is not None
            found = self._audits[name] = audit_host(subject, self.request.plan)
            self._directory.add(found.record, found.verdicts, found.evidence)
        return self._audits[name]

    def finish(self) -> None:
        """Note that the run is whole, if all its hosts were audited."""
        if self._directory and len(self._audits) == len(self.request.subjects):
            self._directory.finish(datetime.now(UTC))
            try:
                self._publication.publish(self._directory.path)
            except UsageError as error:
                pytest.exit(str(error), returncode=2)

    def table(self, colour: bool, verbose: bool) -> str:
        """Return the run's table; nothing if no host was audited."""
        if self._directory is None or not self._audits:
            return ""
        path = self._directory.path
        text = render(
            self._directory.run,
            list(read_verdicts(path)),
            benchmark=self.request.benchmark,
            width=shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 100,
            colour=colour,
            verbose=verbose,
            recordings=read_evidence(path) if verbose else None,
        )
        return f"{text}\n\nEvidence: {path}"


class ControlFailed(Exception):
    """A control did not hold, or it could not be said whether it does."""


class ControlItem(pytest.Item):
    """One control on one host."""

    def __init__(self, *, control: Control, subject: Subject, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.control = control
        self.subject = subject
        self.user_properties.append(("control", control.id))

    def runtest(self) -> None:
        """Judge the control; what needs no action is a skip, with the reason."""
        finished = self.config.stash[KEY].of(self.subject)
        verdict = next(
            (each for each in finished.verdicts if each.control == self.control.id), None
        )
        if verdict is None:
            self._unreachable(finished)
        elif verdict.status in (Status.FAIL, Status.ERROR, Status.UNKNOWN):
            raise ControlFailed(_explain(self.control, verdict))
        elif verdict.status is not Status.PASS:
            pytest.skip(safe(f"{verdict.status}: {verdict.reason}"))

    def _unreachable(self, finished: HostAudit) -> None:
        reason = safe(f"{finished.record.name} is unreachable: {finished.record.reason}")
        others = (item for item in self.session.items if isinstance(item, ControlItem))
        first = next(item for item in others if item.subject is self.subject)
        if first is self:
            raise ControlFailed(reason)
        pytest.skip(reason)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Show what was found, not how Hullcheck came to say so."""
        if isinstance(excinfo.value, ControlFailed):
            return str(excinfo.value)
        shown: Any = super().repr_failure(excinfo, style)
        return shown

    def reportinfo(self) -> tuple[Any, int | None, str]:
        """Name the item by its control and host."""
        return self.path, None, f"{self.control.id} on {self.subject.target.name}"


def _explain(control: Control, verdict: Verdict) -> str:
    lines = [f"{verdict.status}: {control.title}"]
    lines += [
        f"  {finding.object.kind} {finding.object.name}: {finding.reason}"
        for finding in verdict.findings
        if finding.status is verdict.status
    ]
    return "\n".join(safe(line, 2000) for line in [*lines, f"  fix: {control.fix}"])
