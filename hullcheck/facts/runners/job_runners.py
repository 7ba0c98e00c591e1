"""The job runners of a host: each [[runners]] of a GitLab Runner, each agent of Drone, Woodpecker,
Gitea and Forgejo; those that run, and those that are only installed.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Iterator

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.conf_files import conf_files
from hullcheck.facts.files import File, Files
from hullcheck.facts.podman.places import complaints
from hullcheck.facts.registry import Unseen, get, provide_each
from hullcheck.facts.runners.agents import BuildAgent
from hullcheck.facts.runners.gitlab import runs_jobs
from hullcheck.facts.runners.kinds import (
    JobRunner,
    about,
    first_files,
    of_file,
    runners_of,
    text_of,
)
from hullcheck.facts.runners.launches import (
    RUNNERS,
    UNITS,
    Launch,
    launch_of,
    launches_of_units,
)
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import CannotAnswer, Pending, session_of, want

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
    idle = [each for each in units if each.enabled and each.kind not in kinds]
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
            found += runners_of(launch, units)
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
                yield Unseen(about(agent.kind, str(agent)), str(reason))
                continue
            command = runs_jobs(list(launch.words)) if agent.kind == "gitlab-runner" else "run"
            if command == "run":
                yield launch
            elif command == "run-single":
                yield Unseen(
                    about(agent.kind, str(agent)), "run-single takes all from its command line"
                )


def _look_ahead(host: Host, launches: Iterable[Launch]) -> None:
    """Let the questions about the files of all runners travel together."""
    paths = []
    for launch in launches:
        try:
            paths += [launch.seen(each) for each in first_files(launch)]
        except (Unknown, CannotAnswer):
            continue
    files: Files = get(host, "files")
    files.foresee(paths)


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
        places = ", ".join(map(posixpath.dirname, hidden))
        reason = f"whether GitLab Runner is set up in {places} cannot be seen; it needs root"
        more.append(Unseen(about("gitlab-runner", "where it is set up"), reason, idle=True))
    return more


def _read(launch: Launch) -> list[str]:
    """Return the config.toml that a launch was found to name, as the host calls it."""
    try:
        return [launch.seen(first_files(launch)[0])] if launch.kind == "gitlab-runner" else []
    except (Unknown, CannotAnswer):
        return []


def _of_path(file: File, launch: Launch) -> list[JobRunner | Unseen]:
    try:
        return [*of_file(file, text_of(launch, file), launch)]
    except (Unknown, CannotAnswer, NotApplicable) as reason:
        return [Unseen(about(launch.kind, file.path), str(reason), idle=True)]


def _owner(host: Host, path: str) -> int | None:
    accounts: Accounts = get(host, "accounts")
    home = posixpath.dirname(posixpath.dirname(path))
    return next((each.uid for each in accounts.users if each.home.rstrip("/") == home), None)
