"""The job runners of a host: each [[runners]] of a GitLab Runner, each agent of Drone, Woodpecker,
Gitea and Forgejo; those that run, and those that are only installed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.build_agents import BuildAgent
from hullcheck.facts.conf_files import conf_files
from hullcheck.facts.files import File, Files
from hullcheck.facts.mounts import Place, place_of
from hullcheck.facts.podman.places import complaints
from hullcheck.facts.registry import Unseen, fact, get, provide_each
from hullcheck.facts.runner_actions import ActionsConfig, actions, config_option, parse_registration
from hullcheck.facts.runner_environments import (
    AUTO,
    drone,
    env_file,
    flags_of,
    parse_env,
    woodpecker,
    woodpecker_server,
)
from hullcheck.facts.runner_gitlab import config_path, job_user, parse_gitlab, runs_jobs
from hullcheck.facts.runner_jobs import Jobs
from hullcheck.facts.runner_launches import (
    RUNNERS,
    UNITS,
    Launch,
    filtered,
    launch_of,
    launches_of_units,
    readable,
)
from hullcheck.facts.runtime_sockets import RuntimeSockets
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import CannotAnswer, Pending, session_of, want
from hullcheck.verdict import Object

__all__ = ["INSTALLED", "JobRunner", "job_runner"]

_NO_LOGIN = "(nologin|false|sync|shutdown|halt|true|git-shell)$"

INSTALLED = want(
    "{ printf '%s\\n' /etc/gitlab-runner/config.toml /srv/gitlab-runner/config/config.toml;"
    " { getent passwd || cat /etc/passwd; } 2>/dev/null"
    f" | awk -F: '$3 != 0 && $7 !~ /{_NO_LOGIN}/ && $6 ~ /^\\/./ {{ print $6 }}'"
    " | sed 's|/*$|/.gitlab-runner/config.toml|'; } | sort -u | tr '\\n' '\\0'"
    f" | xargs -0 stat -L -c '= %n' --; echo '{END}'"
)
"""``= PATH`` of each config.toml of GitLab Runner that lies where it is looked for."""


@dataclass(frozen=True, eq=False)
class JobRunner:
    """One configured runner.

    :param kind: gitlab-runner, drone, woodpecker, woodpecker-server, gitea or forgejo.
    :param launch: how it was started, or would be; None: nothing tells.
    :param secrets: its files that hold tokens; ``files`` others that decide what it does.
    """

    host: Host
    kind: str
    jobs: Jobs
    source: str
    launch: Launch | None = None
    secrets: tuple[File, ...] = field(default=(), repr=False)
    files: tuple[File, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.jobs.name}"

    @property
    def object(self) -> Object:
        return Object("job-runner", f"{self}, jobs on {self.jobs.where}"
                      if self.kind in ("gitea", "forgejo") else str(self), self.source)  # fmt: skip

    @property
    def running(self) -> bool:
        return bool(self.launch and self.launch.agent)

    @property
    def uid(self) -> int | None:
        """Whose rights it has; None if that is not known."""
        return self.launch.uid if self.launch else None

    @property
    def elsewhere(self) -> frozenset[str]:
        """What jobs of the host's other runners can write."""
        others = [each for each in get(self.host, "job_runner")
                  if isinstance(each, JobRunner) and each is not self]  # fmt: skip
        mounts = [mount for each in others for mount in each.jobs.mounts]
        return frozenset(each.source for each in mounts if not each.read_only)

    @property
    def engine_sockets(self) -> RuntimeSockets:
        """The engines of the host. :raises Unknown: it does not show who listens where."""
        found: RuntimeSockets = get(self.host, "runtime_sockets")
        return found

    def place(self, path: str) -> Place | None:
        """Return on which file system something of the host is, and where there."""
        return place_of(get(self.host, "mounts"), path)

    @fact
    def sources(self) -> dict[str, File]:
        """What of the host its jobs see, by the path that its settings name."""
        files: Files = get(self.host, "files")
        paths = sorted({each.source for each in self.jobs.mounts if each.of_host})
        return dict(zip(paths, files.all(paths), strict=True))


Found = Iterator[JobRunner | Unseen]


@provide_each
def job_runner(host: Host) -> list[JobRunner | Unseen]:
    """Each runner of the host, and each that may be there and cannot be seen.

    :raises NotApplicable: there is none.
    :raises Unknown: some processes are hidden from the audit's user.
    """
    session_of(host).foresee(INSTALLED, UNITS)
    agents: list[BuildAgent] = get(host, "build_agents")
    launches = [*_running(agents)]
    running = [each for each in launches if isinstance(each, Launch)]
    units = [*launches_of_units(host, conf_files(host, UNITS))]
    _look_ahead(host, running)
    found: list[JobRunner | Unseen] = [each for each in launches if isinstance(each, Unseen)]
    found += _all_seen(running, units)
    kinds = {each.kind for each in running} & {"drone", "woodpecker", "woodpecker-server"}
    idle = [each for each in units if each.kind not in kinds]
    found += _new(found, _all_seen(idle, units))
    found += _new(found, _installed(host, [*running, *idle], units))
    if not found:
        raise NotApplicable("no runner of jobs runs or is set up here")
    return found


def _all_seen(launches: Iterable[Launch], units: list[Launch]) -> list[JobRunner | Unseen]:
    """Look at some launches; one that waits for an answer does not stop the next."""
    found, pending = [], False
    for launch in launches:
        try:
            found += _seen(launch, units)
        except Pending:
            pending = True
    if pending:
        raise Pending
    return found


def _new(
    known: list[JobRunner | Unseen], more: list[JobRunner | Unseen]
) -> list[JobRunner | Unseen]:
    """Return those whose files are not the files of known ones: under another name, in a container
    and outside of it, they are the same runners."""
    places = {place for each in known for place in _identity(each)}
    return [each for each in more if not places & _identity(each)]


def _identity(one: JobRunner | Unseen) -> set[tuple[int, int]]:
    if isinstance(one, Unseen):
        return set()
    return {(each.present.device, each.present.inode) for each in one.secrets}


def _running(agents: Iterable[BuildAgent]) -> Iterator[Launch | Unseen]:
    for agent in agents:
        if agent.kind in RUNNERS:
            try:
                launch = launch_of(agent)
            except (Unknown, CannotAnswer) as reason:
                yield Unseen(_about(agent.kind, str(agent)), str(reason))
                continue
            command = runs_jobs(list(launch.words)) if agent.kind == "gitlab-runner" else "run"
            if command == "run":
                yield launch
            elif command == "run-single":
                yield Unseen(
                    _about(agent.kind, str(agent)), "run-single takes all from its command line"
                )


def _about(kind: str, name: str) -> Object:
    return Object("job-runner", kind, name)


def _look_ahead(host: Host, launches: Iterable[Launch]) -> None:
    """Let the questions about the files of all runners travel together."""
    paths = []
    for launch in launches:
        try:
            paths += [launch.seen(each) for each in _first_files(launch)]
        except (Unknown, CannotAnswer):
            continue
    files: Files = get(host, "files")
    files.foresee(paths)


def _first_files(launch: Launch) -> list[str]:
    words = list(launch.words)
    settings = None if isinstance(launch.settings, Unknown) else dict(launch.settings)
    if launch.kind == "gitlab-runner":
        return [config_path(words, settings, -1 if launch.uid is None else launch.uid)]
    if launch.kind in ("gitea", "forgejo"):
        return [*filter(None, [config_option(words)]), ".runner"]
    return [*filter(None, [env_file(words) if launch.kind == "drone" else ""]), ".env"]


def _seen(launch: Launch, units: list[Launch]) -> list[JobRunner | Unseen]:
    try:
        return [*_KINDS[launch.kind](launch, units)]
    except (Unknown, CannotAnswer, NotApplicable) as reason:
        idle = launch.agent is None
        return [Unseen(_about(launch.kind, launch.label), str(reason), idle=idle)]


def _file(launch: Launch, path: str) -> File:
    files: Files = get(launch.host, "files")
    return files.get(launch.seen(path))


def _text(launch: Launch, file: File) -> str:
    """:raises Unknown: it cannot be read, or not by the runner itself."""
    if not readable(file, launch):
        raise Unknown(f"{file} is not readable to the runner that names it: it was not read")
    if file.size and not file.text:
        raise Unknown(f"{file} was not read, though it is {file.size} bytes long")
    return file.text


def _gitlab(launch: Launch, units: list[Launch]) -> Found:
    file = _file(launch, _first_files(launch)[0])
    if not file.exists and launch.agent:
        raise Unknown(f"it runs, and its configuration is not there: {file.reason}")
    if file.exists:
        yield from _of_file(file, _text(launch, file), launch)


def _of_file(file: File, text: str, launch: Launch) -> Found:
    for number, jobs in enumerate(parse_gitlab(file.path, text), 1):
        told = replace(jobs, user=job_user(list(launch.words)))
        source = f"{file.path} [[runners]] {number}"
        yield JobRunner(launch.host, launch.kind, told, source, launch, secrets=(file,))


def _variables(launch: Launch, units: list[Launch]) -> tuple[dict[str, str], list[File]]:
    """Return the variables that steer a runner, and the files that some of them come from.

    :raises Unknown: one cannot be read.
    """
    settings = dict(launch.known_settings)
    named = _first_files(launch)
    files = []
    for path in named:
        file = _file(launch, path)
        if file.exists and file.kind == "file":
            files.append(file)
            if not readable(file, launch):
                raise Unknown(f"{file} is not readable to the runner that names it")
            for name, value in _env(launch.host, _place(file)).items():
                settings.setdefault(name, value)
    get_files: Files = get(launch.host, "files")
    for path in _env_files(launch, units):
        file = get_files.get(path)
        if file.exists:
            files.append(file)
            if launch.agent is None:
                settings.update(_env(launch.host, path))
    return settings, files


def _env_files(launch: Launch, units: list[Launch]) -> list[str]:
    """Return the files that units of this kind read variables from."""
    found = [path for each in units if each.kind == launch.kind for path in each.env_files]
    return [each for each in dict.fromkeys(found) if each.startswith("/") and "%" not in each]


def _place(file: File) -> str:
    """Return the path to read by: below /proc/PID/root the kernel would follow links wrongly."""
    return file.resolved if file.path.startswith("/proc/") else file.path


def _env(host: Host, path: str) -> dict[str, str]:
    answer = session_of(host).ask(filtered(path))[0]
    if answer.complaint:
        raise Unknown(f"{path} cannot be read: {answer.complaint}; it may need root")
    *lines, end = lines_of(answer) or [""]
    if end != END:
        raise Unknown(f"{path} was not read to the end")
    return parse_env("\n".join(lines))


def _drone(launch: Launch, units: list[Launch]) -> Found:
    settings, files = _variables(launch, units)
    jobs = drone(launch.program, settings)
    yield JobRunner(launch.host, launch.kind, jobs, launch.label, launch, tuple(files))


def _woodpecker(launch: Launch, units: list[Launch]) -> Found:
    settings, files = _variables(launch, units)
    if launch.kind == "woodpecker-server":
        jobs = woodpecker_server(settings)
    else:
        settings |= flags_of(list(launch.words))
        jobs = woodpecker(settings, _backend(launch, settings))
    yield JobRunner(launch.host, launch.kind, jobs, launch.label, launch, tuple(files))


def _backend(launch: Launch, settings: dict[str, str]) -> str:
    """Return the backend that an agent uses; it looks for an engine, then for a cluster."""
    said = settings.get("WOODPECKER_BACKEND") or AUTO
    if said != AUTO:
        return said
    if settings.get("WOODPECKER_BACKEND_DOCKER_HOST") or settings.get("DOCKER_HOST"):
        return "docker"
    if _file(launch, "/var/run/docker.sock").exists:
        return "docker"
    token = "/var/run/secrets/kubernetes.io/serviceaccount/token"
    return "kubernetes" if _file(launch, token).exists else "local"


def _actions(launch: Launch, units: list[Launch]) -> Found:
    words, settings = list(launch.words), launch.known_settings
    path = config_option(words)
    config_file = _file(launch, path) if path else None
    if config_file and not config_file.exists:
        raise Unknown(f"its configuration is gone: {config_file.reason}")
    text = _text(launch, config_file) if config_file else ""
    config = ActionsConfig(path, text)
    registration = _file(launch, config.registration(settings))
    found = [registration] if registration.exists else []
    if found:
        registered = parse_registration(registration.path, _text(launch, registration))
    elif config.servers:
        registered = ("", (), "")
    else:
        raise Unknown(f"it is not registered: {registration.reason}")
    env = config.runner.text("env_file")
    files = (config_file,) if config_file else ()
    if env:
        jobs_env = _file(launch, env)
        found += [jobs_env] if jobs_env.exists else []
    for jobs in actions(launch.kind, config, registered, words, settings):
        yield JobRunner(launch.host, launch.kind, jobs, launch.label, launch, tuple(found), files)


_KINDS = {
    "gitlab-runner": _gitlab, "drone": _drone, "woodpecker": _woodpecker,
    "woodpecker-server": _woodpecker, "gitea": _actions, "forgejo": _actions,
}  # fmt: skip


def _installed(host: Host, launches: list[Launch], units: list[Launch]) -> list[JobRunner | Unseen]:
    """Return the runners of files that lie where they are looked for, and that were not read."""
    answer = session_of(host).ask(INSTALLED)[0]
    lines = lines_of(answer)
    if lines[-1:] != [END]:
        raise CannotAnswer("where runners are set up was not looked at to the end")
    paths = [line.removeprefix("= ") for line in lines[:-1] if line.startswith("= /")]
    hidden = [place for place, _ in complaints(answer)]
    read = {path for each in launches for path in _read(each)}
    files: Files = get(host, "files")
    unit = next((each for each in units if each.kind == "gitlab-runner"), None)
    more: list[JobRunner | Unseen] = []
    for file in files.all(each for each in paths if each not in read):
        system = file.path.startswith(("/etc/", "/srv/"))
        owner = 0 if system else _owner(host, file.path)
        more += _of_path(file, Launch(host, "gitlab-runner", file.path, unit.words if unit else (),
                                      {}, "/", owner))  # fmt: skip
    if hidden:
        homes = ", ".join(posixpath.dirname(posixpath.dirname(each)) for each in hidden)
        reason = f"whether GitLab Runner is set up in {homes} cannot be seen; it needs root"
        more.append(Unseen(_about("gitlab-runner", "homes"), reason, idle=True))
    return more


def _read(launch: Launch) -> list[str]:
    """Return the config.toml that a launch was found to name, as the host calls it."""
    try:
        return [launch.seen(_first_files(launch)[0])] if launch.kind == "gitlab-runner" else []
    except (Unknown, CannotAnswer):
        return []


def _of_path(file: File, launch: Launch) -> list[JobRunner | Unseen]:
    try:
        return [*_of_file(file, _text(launch, file), launch)]
    except (Unknown, CannotAnswer, NotApplicable) as reason:
        return [Unseen(_about(launch.kind, file.path), str(reason), idle=True)]


def _owner(host: Host, path: str) -> int | None:
    accounts: Accounts = get(host, "accounts")
    home = posixpath.dirname(posixpath.dirname(path))
    return next((each.uid for each in accounts.users if each.home.rstrip("/") == home), None)
