"""What each kind of job runner is told to do, by its files and its environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.files import File, Files
from hullcheck.facts.mounts import Place, place_of
from hullcheck.facts.registry import Unseen, fact, get
from hullcheck.facts.runners.actions import (
    ActionsConfig,
    actions,
    config_option,
    parse_registration,
)
from hullcheck.facts.runners.environments import (
    AUTO,
    drone,
    env_file,
    flags_of,
    parse_env,
    woodpecker,
    woodpecker_server,
)
from hullcheck.facts.runners.gitlab import config_path, job_user, parse_gitlab
from hullcheck.facts.runners.jobs import Jobs
from hullcheck.facts.runners.launches import Launch, filtered, readable
from hullcheck.facts.runtime_sockets import RuntimeSockets
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import CannotAnswer, session_of
from hullcheck.verdict import Object

__all__ = ["JobRunner", "about", "first_files", "of_file", "runners_of", "text_of"]


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
        return Object("job-runner", str(self), self.source)

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


def about(kind: str, name: str) -> Object:
    """Return how something is named that may be a runner."""
    return Object("job-runner", kind, name)


def first_files(launch: Launch) -> list[str]:
    """Return the files that a runner reads first, as it names them."""
    words = list(launch.words)
    settings = None if isinstance(launch.settings, Unknown) else dict(launch.settings)
    if launch.kind == "gitlab-runner":
        return [config_path(words, settings, -1 if launch.uid is None else launch.uid)]
    if launch.kind in ("gitea", "forgejo"):
        return [*filter(None, [config_option(words)]), ".runner"]
    return [*filter(None, [env_file(words) if launch.kind == "drone" else ""]), ".env"]


def runners_of(launch: Launch, units: list[Launch]) -> list[JobRunner | Unseen]:
    """Return the runners of one start, or what stands for those that cannot be seen."""
    try:
        return [*_KINDS[launch.kind](launch, units)]
    except (Unknown, CannotAnswer, NotApplicable) as reason:
        idle = launch.agent is None
        return [Unseen(about(launch.kind, launch.label), str(reason), idle=idle)]


def _file(launch: Launch, path: str) -> File:
    files: Files = get(launch.host, "files")
    return files.get(launch.seen(path))


def text_of(launch: Launch, file: File) -> str:
    """Return the text of a file of a runner.

    :raises Unknown: it cannot be read, or not by the runner itself.
    """
    if not readable(file, launch):
        raise Unknown(f"{file} is not readable to the runner that names it: it was not read")
    if file.size and not file.text:
        raise Unknown(f"{file} was not read, though it is {file.size} bytes long")
    return file.text


def _gitlab(launch: Launch, units: list[Launch]) -> Found:
    file = _file(launch, first_files(launch)[0])
    if not file.exists and launch.agent:
        raise Unknown(f"it runs, and its configuration is not there: {file.reason}")
    if file.exists:
        yield from of_file(file, text_of(launch, file), launch)


def of_file(file: File, text: str, launch: Launch) -> Found:
    """Yield the runners of a config.toml."""
    for number, jobs in enumerate(parse_gitlab(file.path, text), 1):
        told = replace(jobs, user=job_user(list(launch.words)))
        source = f"{file.path} [[runners]] {number}"
        yield JobRunner(launch.host, launch.kind, told, source, launch, secrets=(file,))


def _variables(launch: Launch, units: list[Launch]) -> tuple[dict[str, str], list[File]]:
    """Return the variables that steer a runner, and the files that some of them come from.

    :raises Unknown: one cannot be read.
    """
    settings = dict(launch.known_settings)
    named = first_files(launch)
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
        if not launch.agent:
            return
        raise Unknown(f"its configuration is gone: {config_file.reason}")
    text = text_of(launch, config_file) if config_file else ""
    config = ActionsConfig(path, text)
    registration = _file(launch, config.registration(settings))
    found = [registration] if registration.exists else []
    if found:
        registered = parse_registration(registration.path, text_of(launch, registration))
    elif config.servers:
        registered = ("", (), "")
    elif launch.agent:
        raise Unknown(f"it runs, and is not registered: {registration.reason}")
    else:
        return
    env = config.runner.text("env_file")
    files = (config_file,) if config_file else ()
    if env:
        jobs_env = _file(launch, env)
        found += [jobs_env] if jobs_env.exists else []
    for jobs in actions(launch.kind, config, registered, words, settings):
        source = f"{launch.label}, jobs on {jobs.where}"
        yield JobRunner(launch.host, launch.kind, jobs, source, launch, tuple(found), files)


_KINDS = {
    "gitlab-runner": _gitlab, "drone": _drone, "woodpecker": _woodpecker,
    "woodpecker-server": _woodpecker, "gitea": _actions, "forgejo": _actions,
}  # fmt: skip
