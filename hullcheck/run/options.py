"""The options that ``hullcheck audit`` and pytest share, and the audit they ask for."""

from __future__ import annotations

import getpass
import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hullcheck import benchmarks
from hullcheck.catalogue import all_controls
from hullcheck.catalogue import digest as controls_digest
from hullcheck.control import Control
from hullcheck.facts.kubernetes.requests import is_of_cluster
from hullcheck.inventory.attestations import load_attestations
from hullcheck.inventory.load import load_inventory
from hullcheck.inventory.policy import Policy, digest, load_policy
from hullcheck.inventory.waivers import load_waivers
from hullcheck.run.audit import HOST_SECONDS, Plan, Subject
from hullcheck.run.directory import RunDirectory, new_id, point_latest, rfc3339
from hullcheck.run.resume import keep_targets, unfinished
from hullcheck.run.seal import before, keep_before
from hullcheck.run.shard import Shard, parse_shard
from hullcheck.run.site import SiteRecord
from hullcheck.transport.ansible import expand_spec
from hullcheck.transport.recording import load
from hullcheck.transport.target import CLUSTER, Target
from hullcheck.verdict import Run

__all__ = ["DEFAULT_BENCHMARK", "Request", "UsageError", "add_options", "prepare", "resume"]

DEFAULT_BENCHMARK = "cis-docker-1.8.0"


class UsageError(Exception):
    """What was asked for cannot be done; the text is one sentence with the remedy."""


@dataclass(frozen=True, slots=True)
class Request:
    """An audit that can start: everything it names exists and can be read.

    :param shard: which part of the subjects is to be audited; None: all.
    :param resumed: the run that is gone on with, of which the subjects are what is left.
    :param notes: what inventories say and is not done.
    """

    subjects: tuple[Subject, ...]
    plan: Plan
    benchmark: benchmarks.Benchmark
    report_dir: Path | None
    shard: Shard | None = None
    resumed: Path | None = None
    notes: tuple[str, ...] = ()

    def with_controls(self, controls: Iterable[Control]) -> Request:
        """Return the same audit, of these controls."""
        return replace(self, plan=replace(self.plan, controls=tuple(controls)))

    def open(self) -> RunDirectory:
        """Make the run directory, or open the one that is gone on with.

        :raises UsageError: it cannot be written, or it is not empty.
        """
        try:
            if self.resumed:
                return RunDirectory.reopen(self.resumed, self.plan.controls)
            return self._made()
        except ValueError as error:
            raise UsageError(str(error)) from error
        except OSError as error:
            why = str(error) if error.errno is None else f"{error.filename}: {error.strerror}"
            raise UsageError(f"the report directory cannot be used: {why}") from error

    @property
    def chosen(self) -> list[Subject]:
        """The hosts that are to be audited now."""
        return self.shard.pick(self.subjects) if self.shard else list(self.subjects)

    def _made(self) -> RunDirectory:
        names = [each.target.name for each in self.subjects]
        run = Run(
            new_id(self.plan.started),
            rfc3339(self.plan.started),
            controls_digest=controls_digest(self.plan.controls),
            policy_digest=digest([each.policy for each in self.subjects]),
            shard=self.shard.document(names) if self.shard else None,
        )
        path = self.report_dir or Path("reports") / run.id
        last = before(path)
        run.previous = last.digest if last else None
        directory = RunDirectory(path, run, self.plan.controls, self._site())
        keep_targets(path, self.chosen)
        if last:
            keep_before(path, last)
        if self.report_dir is None:
            point_latest(path)
        return directory

    def _site(self) -> SiteRecord:
        return SiteRecord(
            {each.target.name: each.policy for each in self.chosen},
            {each.target.name: each.role for each in self.chosen},
            self.plan.waivers,
            self.plan.attestations,
        )


def add_options(add: Callable[..., Any]) -> None:
    """Declare the shared options with argparse's or pytest's own function."""
    add(
        "-i", "--inventory", metavar="FILE", action="append", default=[],
        help="audit the hosts of this inventory: our YAML, Ansible's (a file, a directory, or what "
        "ansible-inventory --list says), a list with a host a line, or an ssh_config; - reads "
        "standard input; may be given several times",
    )  # fmt: skip
    add(
        "--limit", metavar="PATTERN",
        help="only the hosts and groups that fit: 'web*:!web3' (! takes away), 'web:&prod' (of "
        "both), '~web[0-9]+' (a regular expression), @FILE (a pattern a line)",
    )  # fmt: skip
    add(
        "--tag", metavar="PATTERN", help="only hosts with such tags: 'web,prod' (of either), '!old'"
    )
    add(
        "--ask-sudo-pass", action="store_true",
        help="ask once for the password that sudo wants on the hosts (implies --sudo)",
    )  # fmt: skip
    add("--policy", metavar="FILE", help="the site's own values, by which controls judge")
    add("--waivers", metavar="FILE", help="failures that were accepted, by whom and until when")
    add("--attestations", metavar="FILE", help="what people found who looked where no machine can")
    add(
        "--benchmark", metavar="NAME", default=DEFAULT_BENCHMARK,
        help=f"the numbering that the table follows (default: {DEFAULT_BENCHMARK})",
    )  # fmt: skip
    add(
        "--report-dir", metavar="DIR",
        help="where the run is kept (default: reports/RUN-ID, and reports/latest points there)",
    )  # fmt: skip
    add(
        "--connect-timeout", metavar="SECONDS", type=float,
        help="how long to wait for a host to answer (default: ssh's ConnectTimeout, else 10)",
    )  # fmt: skip


def prepare(options: Any, specs: Iterable[str], controls: Iterable[Control]) -> Request:
    """Return the audit that the options ask for.

    :param specs: host specs of the command line.
    :raises UsageError: something named does not exist, cannot be read or is wrong.
    """
    try:
        return _prepare(options, list(specs), tuple(controls))
    except (ValueError, KeyError) as error:
        raise UsageError(error.args[0] if error.args else str(error)) from error
    except OSError as error:
        raise UsageError(f"{error.filename}: {error.strerror}") from error


def resume(options: Any) -> Request:
    """Return what is left of the audit that ``--resume`` names.

    :raises UsageError: there is nothing to go on with, or not like this.
    """
    path = Path(options.resume)
    try:
        subjects, plan = unfinished(path.resolve() if path.is_symlink() else path)
        benchmark = benchmarks.load_benchmark(options.benchmark)
        plan = replace(plan, **_means(options))
    except (ValueError, KeyError) as error:
        raise UsageError(error.args[0] if error.args else str(error)) from error
    return Request(tuple(subjects), plan, benchmark, None, resumed=path.resolve())


def _means(options: Any) -> dict[str, Any]:
    """Return how hosts are to be audited: what of a plan changes no verdict."""
    ask = options.ask_sudo_pass
    return {
        "sudo_password": getpass.getpass("sudo password on the hosts: ") if ask else None,
        "connect_timeout": options.connect_timeout,
        "salt": secrets.token_bytes(16),
        "host_seconds": getattr(options, "host_timeout", None) or HOST_SECONDS,
    }


def _prepare(options: Any, specs: list[str], controls: tuple[Control, ...]) -> Request:
    for file in (options.ssh_config, getattr(options, "ssh_identity_file", None)):
        if file:
            Path(file).expanduser().open("rb").close()
    benchmark = benchmarks.load_benchmark(options.benchmark)
    policy = load_policy(options.policy) if options.policy else Policy()
    started = datetime.now(UTC).replace(microsecond=0)
    latest = started.date() + timedelta(days=policy.maximum_waiver_days)
    known = all_controls()
    waivers = load_waivers(options.waivers, known, latest) if options.waivers else ()
    said = load_attestations(options.attestations, known) if options.attestations else ()
    targets = [target for spec in specs for target in expand_spec(spec)]
    subjects = [Subject(_with(target, options), policy) for target in targets]
    notes: tuple[str, ...] = ()
    if options.inventory:
        if specs:
            raise ValueError(
                "name hosts or an inventory, not both; --limit picks from an inventory"
            )
        hosts = load_inventory(options.inventory, policy, options.limit, options.tag)
        subjects = [Subject(_with(host.target, options), host.policy, host.role) for host in hosts]
        notes = tuple(dict.fromkeys(note for host in hosts for note in host.notes))
    elif options.limit or options.tag:
        raise ValueError("--limit and --tag pick hosts from an inventory; name one with -i FILE")
    for each in subjects:
        if each.target.scheme == "recording":
            load(Path(each.target.address))
    names = Counter(each.target.name for each in subjects)
    if twice := sorted(name for name, times in names.items() if times > 1):
        raise ValueError(f"{', '.join(twice)} is named twice; a run audits each host once")
    shard = parse_shard(options.shard) if getattr(options, "shard", None) else None
    only_clusters = subjects and all(each.target.scheme == CLUSTER for each in subjects)
    if only_clusters and not getattr(options, "control", None):
        controls = tuple(each for each in controls if is_of_cluster(each.inputs))
    plan = Plan(controls, started, tuple(waivers), tuple(said), **_means(options))
    directory = Path(options.report_dir) if options.report_dir else None
    return Request(tuple(subjects), plan, benchmark, directory, shard, notes=notes)


def _with(target: Target, options: Any) -> Target:
    """Return a target with what the command line says of every host."""
    changed: dict[str, Any] = {}
    if options.sudo or options.ask_sudo_pass:
        changed["sudo"] = True
    if options.ssh_config:
        changed["ssh_config"] = Path(options.ssh_config).expanduser()
    if getattr(options, "sudo_user", None):
        changed["sudo_user"] = options.sudo_user
    if getattr(options, "ssh_identity_file", None):
        changed["identity_file"] = Path(options.ssh_identity_file).expanduser()
    return replace(target, **changed)
