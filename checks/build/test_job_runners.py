"""What a runner lets jobs choose and learn, and who could turn it."""

from __future__ import annotations

import re

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.mounts import within
from hullcheck.facts.processes import Processes
from hullcheck.facts.readers import readers_of
from hullcheck.facts.runners.job_runners import JobRunner
from hullcheck.inventory.policy import Policy

_LOOPBACK = re.compile(r"(?:localhost|127(?:\.\d{1,3}){3}|\[::1\]|::1):\d+")
_PORT = re.compile(r".*:(\d+)")


@control(
    title="A runner says which images its jobs may use",
    severity="medium",
    level=2,
    fix="Set allowed_images and allowed_services in [runners.docker] or [runners.kubernetes] of "
    'config.toml, each with a registry or a repository: ["registry.example/**", "ruby:*"]; with '
    "the docker executor, disable_entrypoint_overwrite = true as well.",
)
def test_runner_allowed_images(job_runner: JobRunner) -> None:
    """A job may name any image of the internet, and its author trusts whoever pushes there. A list
    keeps jobs to images that somebody looks after. A pattern that leaves the repository open is
    no list, and an empty list allows all. An image whose entrypoint a job may replace is not
    started as whoever made it meant."""
    lists = job_runner.jobs.images
    if not lists:
        raise NotApplicable("it has no such setting")
    for setting, patterns in lists:
        open_ones = ["all"] if patterns is None else [each for each in patterns if _wide(each)]
        expect(open_ones, equals=[], what=f"what {setting} leaves open")
    started = "any program" if job_runner.jobs.any_entrypoint else "the image's own"
    expect(started, equals="the image's own", what="the entrypoint that a job may set")


def _wide(pattern: str) -> bool:
    """Whether a pattern of images fits any repository: nothing in it but wildcards and a tag."""
    repository = pattern.partition("@")[0]
    head, _, last = repository.rpartition("/")
    name = f"{head}/{last.partition(':')[0]}"
    return not re.search(r"[A-Za-z0-9]", re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", name))


@control(
    title="A runner pulls the image of a job anew",
    severity="medium",
    level=2,
    fix='Set pull_policy = "always" and allowed_pull_policies = ["always"] in config.toml; a '
    "mirror of the registry keeps that fast.",
)
def test_runner_pull_policies(job_runner: JobRunner) -> None:
    """An image that lies on the runner is there for whoever names it: a job of another project
    uses a private image without the right to pull it, or one that an earlier job has put in its
    place under the same name. A pull asks the registry each time."""
    jobs = job_runner.jobs
    if jobs.pull_policies is None:
        raise NotApplicable("it has no such setting")
    if jobs.fresh:
        raise NotApplicable("each of its jobs has a machine of its own, which is deleted after it")
    expect(jobs.pull_policies, within=("always",), what="pull policies")


@control(
    title="A runner takes jobs from a server whose certificate it checks",
    severity="high",
    fix="Write the server as https:// (DRONE_RPC_PROTO=https, WOODPECKER_GRPC_SECURE=true), give "
    "the runner its CA (tls-ca-file), and remove insecure, *_SKIP_VERIFY and GIT_SSL_NO_VERIFY; "
    "reach an engine over TCP with tls_verify and certificates only.",
)
def test_runner_tls(job_runner: JobRunner) -> None:
    """The server's word is run as a job. Whoever is on the path to it, without TLS or without a
    check of its certificate, runs what he likes, and reads code, tokens and secrets of all jobs.
    What stays on the host itself is left out."""
    jobs = job_runner.jobs
    expect(jobs.plain, equals=(), what="connections")
    if jobs.near:
        raise Manual(
            f"see that {', '.join(jobs.near)}, spoken to without TLS, is on this host", jobs.near
        )


@control(
    title="Only a runner can read its token and change its settings",
    severity="high",
    fix="chown root (or the runner's user) and chmod 600 config.toml, .runner and env files, and "
    "let nobody else write the folders above them.",
)
def test_runner_files(job_runner: JobRunner) -> None:
    """With its token anybody poses as the runner, and is sent other projects' jobs with their code
    and secrets. Who can write its settings, or a folder on the way to them, makes jobs privileged
    or gives them the host. A closed folder above a file that is open keeps it closed."""
    if not (job_runner.secrets or job_runner.files):
        raise NotApplicable("it has no files that are known: its environment tells all")
    trusted = {0} | ({job_runner.uid} if job_runner.uid is not None else set())
    for file in (*job_runner.secrets, *job_runner.files):
        if file in job_runner.secrets:
            expect(readers_of(file, trusted), equals=[], what=f"who can read {file}")
        found = list(dict.fromkeys(file.writable_by_others(trusted)))
        expect(found, equals=[], what=f"who can change {file}")


@control(
    title="Variables that a runner gives to all jobs hold no secrets",
    severity="high",
    fix="Take them out of environment, envs or DRONE_RUNNER_ENVIRON and replace them; give secrets "
    "as protected variables of the one project, short-lived ones by OpenID Connect.",
)
def test_runner_secrets(job_runner: JobRunner, policy: Policy) -> None:
    """What a runner sets in the environment, every job of every project can print, from any
    branch that anybody may push. Names tell, and values that are keys or tokens by their shape;
    no value leaves the host."""
    held = [each for each in job_runner.jobs.secrets if each not in policy.plain_variables]
    expect(sorted(held), equals=[], what="secrets that every job is given")


@control(
    title="What a runner tells of itself stays on its host",
    severity="medium",
    fix="Set listen_address in config.toml (metrics.addr in config.yaml) to 127.0.0.1:PORT, or "
    "list the port in listening_ports of the policy and let a packet filter keep others out.",
)
def test_runner_debug_port(job_runner: JobRunner, processes: Processes, policy: Policy) -> None:
    """Beside metrics, GitLab Runner lists its jobs there and serves memory profiles to whoever
    asks, without a password: what it holds in memory are tokens and the variables of jobs."""
    addresses = job_runner.jobs.debug
    if not addresses:
        raise NotApplicable("it serves nothing of the kind")
    agent = job_runner.launch.agent if job_runner.launch else None
    init = processes.get(1)
    if agent and init and agent.process.namespace("net") != init.namespace("net"):
        raise NotApplicable("it listens in a network of its own; published ports are looked at")
    open_ones = [each for each in addresses if not _kept(each, policy)]
    expect(open_ones, equals=[], what="where it listens")


def _kept(address: str, policy: Policy) -> bool:
    port = _PORT.fullmatch(address)
    if port is None:
        raise Unknown(f"where it listens is not understood: {address[:60]!r}")
    return bool(_LOOPBACK.fullmatch(address)) or int(port[1][:6]) in (policy.listening_ports or ())


@control(
    title="Runners and their jobs share no place that jobs can write",
    severity="medium",
    level=2,
    fix="Give each runner a cache and volumes of its own (Shared = false in [runners.cache], "
    "another bucket or prefix), protected branches a runner of their own, and mount read-only what "
    "only serves; list in host_paths what may be shared.",
)
def test_runner_shared_cache(job_runner: JobRunner, policy: Policy) -> None:
    """A job of any branch that can write what a later job reads puts its own code into that one:
    into the release of another project, past every review. A cache by project is kept apart; a
    folder or a named volume that all jobs have, or a cache for all runners, is not."""
    jobs = job_runner.jobs
    kept = "for all runners" if jobs.shared_cache else "its own"
    expect(kept, equals="its own", what="its cache")
    writable = {each.source for each in jobs.mounts if not each.read_only and not each.offered
                and not each.source.endswith(".sock")}  # fmt: skip
    mine = {each for each in writable if not _allowed(each, policy)}
    expect(sorted(mine & job_runner.elsewhere), equals=[], what="places that other runners share")
    if mine:
        raise Manual(
            f"see that its jobs may trust each other: all can write {', '.join(sorted(mine))}",
            sorted(mine),
        )


def _allowed(source: str, policy: Policy) -> bool:
    return source.startswith("/") and any(
        within(source, path.rstrip("/") or "/") for path in policy.host_paths
    )
