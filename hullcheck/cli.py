"""The ``hullcheck`` command."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tabulate import tabulate

from hullcheck import __version__, benchmarks, catalogue
from hullcheck.inventory.policy import Policy, load_policy
from hullcheck.inventory.waive import waive
from hullcheck.inventory.waivers import Waiver, parse_day
from hullcheck.report.acceptances import odd_acceptances
from hullcheck.report.coverage import catalogue_markdown, catalogue_table, coverage_table
from hullcheck.report.formats import FORMATS, MissingExtra, write
from hullcheck.report.privileges import needs, privileges_table
from hullcheck.report.publish import Publication, add_publishing, publication
from hullcheck.report.source import Source
from hullcheck.report.table import render
from hullcheck.report.text import safe
from hullcheck.run.audit import HostAudit, audit
from hullcheck.run.directory import read_document, read_evidence, read_run, read_verdicts
from hullcheck.run.options import DEFAULT_BENCHMARK, UsageError, add_options, prepare
from hullcheck.run.replay import replay
from hullcheck.run.verify import verify
from hullcheck.verdict import Run, Status, Verdict

__all__ = ["main"]

EXAMPLES = """\
examples:
  hullcheck audit local://                          this machine
  hullcheck audit ssh://root@web1 ssh://web2:2222   two hosts, as ~/.ssh/config knows them
  hullcheck audit -i inventories/prod.yml --sudo --limit 'web*'
  hullcheck controls --benchmark cis-docker-1.8.0   what is covered
  hullcheck controls --privileges                   what can be decided without root
  hullcheck verify reports/latest --signers FILE    is it as it was, and who says so
  hullcheck report reports/latest -v                an earlier run's table, with the evidence

exit codes of audit:
  0  all clear: pass, not-applicable, manual or waived
  1  something fails
  2  wrong usage, or input that cannot be read
  3  nothing fails, but something is unknown, broke or could not be reached
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. :return: its exit code."""
    options = _parser().parse_args(argv)
    try:
        code: int = options.run(options)
    except UsageError as error:
        print(f"hullcheck: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("hullcheck: interrupted; hosts that were finished are kept", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 141
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hullcheck",
        description="Audits the hosts and engines that carry containers, over SSH, with proof.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"hullcheck {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    one = commands.add_parser("audit", help="audit hosts, print the table, keep the evidence")
    one.add_argument(
        "hosts", nargs="*", metavar="SPEC",
        help="local://, ssh://[user@]host[:port], paramiko://…, docker://name, recording://FILE; "
        "without a scheme: paramiko",
    )  # fmt: skip
    add_options(one.add_argument)
    add_publishing(one.add_argument)
    one.add_argument("--sudo", action="store_true", help="become root on the hosts with sudo -n")
    one.add_argument("--ssh-config", metavar="FILE", help="instead of ~/.ssh/config")
    one.add_argument(
        "--control", action="append", default=[], metavar="ID",
        help="only this control (may be given several times)",
    )  # fmt: skip
    _verbose(one)
    one.set_defaults(run=_audit)

    one = commands.add_parser("controls", help="list the controls, or what a benchmark covers")
    how = one.add_mutually_exclusive_group()
    how.add_argument("--benchmark", metavar="NAME", help="its items, and what answers each")
    how.add_argument(
        "--privileges", action="store_true", help="which can be decided without root, and which not"
    )
    how.add_argument("--markdown", action="store_true", help="the whole catalogue, as a page")
    one.set_defaults(run=_controls)

    one = commands.add_parser("replay", help="judge a run again from its recordings, offline")
    one.add_argument("directory", metavar="DIR", type=Path)
    one.add_argument("--report-dir", metavar="DIR2", type=Path, required=True)
    one.add_argument(
        "--all", action="store_true",
        help="also the controls that the run did not judge: unknown where nothing was recorded",
    )  # fmt: skip
    one.add_argument("--benchmark", metavar="NAME", default=DEFAULT_BENCHMARK)
    _verbose(one)
    one.set_defaults(run=_replay)

    one = commands.add_parser(
        "verify",
        help="check a run's checksums, signature and chain, and judge its recordings again",
    )
    one.add_argument("directory", metavar="DIR", type=Path)
    one.add_argument(
        "--signers", metavar="FILE", type=Path,
        help="who may have signed: allowed_signers of ssh-keygen, namespace hullcheck",
    )  # fmt: skip
    one.add_argument("--no-judging", action="store_true", help="do not judge the recordings again")
    one.set_defaults(run=_verify)

    one = commands.add_parser(
        "waive", help="accept a failure: append a waiver to a file",
        description="Appends a waiver to a file, after checking it; see docs/operators.md.",
    )  # fmt: skip
    one.add_argument("file", metavar="FILE", type=Path, help="the waivers file; made if needed")
    for name, about in (
        ("control", "the control's id, or a pattern: runtime.*"),
        ("reason", "why the failure is accepted"),
        ("owner", "who answers for it"),
        ("expires", "the last day it holds, YYYY-MM-DD, UTC"),
    ):
        one.add_argument(f"--{name}", required=True, help=about)
    one.add_argument("--host", default="*", metavar="PATTERN", help="only of these hosts")
    one.add_argument("--object", default="*", metavar="PATTERN", help="only for these objects")
    one.add_argument("--ticket", default="", help="where it was discussed")
    one.add_argument("--policy", metavar="FILE", help="whose maximum_waiver_days counts")
    one.set_defaults(run=_waive)

    one = commands.add_parser(
        "report", help="print the table of an earlier run, or make another report of it",
        description="Without --format the table is printed.",
    )  # fmt: skip
    one.add_argument("directory", metavar="DIR", type=Path)
    one.add_argument(
        "--format", metavar="FORMAT", choices=tuple(FORMATS),
        help="; ".join(f"{each.name}: {each.about}" for each in FORMATS.values()),
    )  # fmt: skip
    one.add_argument(
        "-o", "--output", metavar="FILE", type=Path,
        help="where to (default: under the format's usual name, here)",
    )  # fmt: skip
    one.add_argument("--benchmark", metavar="NAME", default=DEFAULT_BENCHMARK)
    _verbose(one)
    one.set_defaults(run=_report)
    return parser


def _verbose(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-v", "--verbose", action="store_true",
        help="show expected and observed values and the commands that they rest on",
    )  # fmt: skip


def _audit(options: argparse.Namespace) -> int:
    if not options.hosts and not options.inventory:
        raise UsageError("name the hosts to audit, such as local:// or ssh://web1, or -i INVENTORY")
    try:
        known = catalogue.all_controls().values()
        controls = catalogue.select(options.control) if options.control else known
    except KeyError as error:
        raise UsageError(error.args[0]) from error
    request = prepare(options, options.hosts, controls)
    wanted = publication(options, request.benchmark)
    directory = request.open()
    several = len(request.subjects) > 1

    def done(finished: HostAudit) -> None:
        record = finished.record
        counts = ", ".join(f"{count} {status}" for status, count in record.totals.items())
        if several:
            print(f"{record.name}: {counts or safe(record.reason)}", file=sys.stderr)

    try:
        audit(request.subjects, request.plan, directory, done)
        wanted.publish(directory.path)
    finally:
        verdicts = list(read_verdicts(directory.path))
        _print(directory.run, verdicts, request.benchmark, directory.path, options.verbose)
    return exit_code(directory.run, verdicts)


def _print(
    run: Run,
    verdicts: list[Verdict],
    benchmark: benchmarks.Benchmark,
    directory: Path,
    verbose: bool,
) -> None:
    terminal = sys.stdout.isatty()
    text = render(
        run,
        verdicts,
        benchmark=benchmark,
        width=shutil.get_terminal_size((100, 24)).columns if terminal else 100,
        colour=terminal,
        verbose=verbose,
        recordings=read_evidence(directory) if verbose else None,
    )
    print(text)
    for line in odd_acceptances(Source(directory)):
        print(line)
    print(f"\nEvidence: {directory}")


def exit_code(run: Run, verdicts: Sequence[Verdict]) -> int:
    """Return the exit code for a run: 0 all clear, 1 a fail, 3 something not known."""
    statuses = {verdict.status for verdict in verdicts}
    if Status.FAIL in statuses:
        return 1
    lost = any(host.status != "audited" for host in run.hosts) or not run.hosts
    return 3 if lost or statuses & {Status.ERROR, Status.UNKNOWN} else 0


def _controls(options: argparse.Namespace) -> int:
    try:
        if options.benchmark:
            print(coverage_table(benchmarks.load_benchmark(options.benchmark)))
        elif options.privileges:
            print(privileges_table(catalogue.all_controls(), needs()))
        elif options.markdown:
            print(catalogue_markdown(catalogue.all_controls()), end="")
        else:
            print(catalogue_table(catalogue.all_controls()))
    except (ValueError, KeyError) as error:
        raise UsageError(error.args[0]) from error
    return 0


def _report(options: argparse.Namespace) -> int:
    try:
        if options.format:
            place = options.output or Path(FORMATS[options.format].file)
            print(write(options.format, Source(options.directory), place))
            return 0
        run, verdicts = read_run(options.directory), list(read_verdicts(options.directory))
        benchmark = benchmarks.load_benchmark(options.benchmark)
    except (ValueError, KeyError) as error:
        raise UsageError(error.args[0]) from error
    except (MissingExtra, OSError) as error:
        raise UsageError(str(error)) from error
    _print(run, verdicts, benchmark, options.directory, options.verbose)
    return 0


def _verify(options: argparse.Namespace) -> int:
    try:
        checks = verify(options.directory, options.signers, judge=not options.no_judging)
    except ValueError as error:
        raise UsageError(str(error)) from error
    marks = {True: "good", False: "BAD", None: "-"}
    rows = [[marks[each.good], each.what, safe(each.told, 400)] for each in checks]
    print(tabulate(rows, tablefmt="plain"))
    bad = any(each.good is False for each in checks)
    print("the run does not verify" if bad else "the run verifies")
    return int(bad)


def _waive(options: argparse.Namespace) -> int:
    try:
        policy = load_policy(options.policy) if options.policy else Policy()
        latest = datetime.now(UTC).date() + timedelta(days=policy.maximum_waiver_days)
        waiver = Waiver(
            options.control, options.reason, options.owner, parse_day(options.expires),
            options.host, options.object, options.ticket,
        )  # fmt: skip
        waive(options.file, waiver, catalogue.all_controls(), latest)
    except (ValueError, OSError) as error:
        raise UsageError(str(error)) from error
    print(f"{options.file}: {waiver.control} is waived until {waiver.expires}")
    return 0


def _replay(options: argparse.Namespace) -> int:
    try:
        benchmark = benchmarks.load_benchmark(options.benchmark)
        judged = {each["id"] for each in read_document(options.directory)["controls"]}
        known = catalogue.all_controls().values()
        controls = [each for each in known if options.all or each.id in judged]
        directory = replay(options.directory, options.report_dir, controls)
        Publication(benchmark).publish(directory.path)
    except (ValueError, KeyError, OSError) as error:
        raise UsageError(str(error)) from error
    verdicts = list(read_verdicts(directory.path))
    _print(directory.run, verdicts, benchmark, directory.path, options.verbose)
    return exit_code(directory.run, verdicts)
