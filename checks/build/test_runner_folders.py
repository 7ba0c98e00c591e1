"""GitHub's and Azure's runners, and Buildkite's agents, as they are set up."""

from __future__ import annotations

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.files import Files
from hullcheck.facts.runners.buildkite import BuildkiteAgent, on
from hullcheck.facts.runners.folders import AS_ROOT, HOOK, SECRETS, SHAPING, RunnerFolder

from .closed import expect_closed

HOOKS = ("hooks-path", "additional-hooks-paths", "bootstrap-script")


@control(
    title="A runner's credentials are readable by its own user alone",
    severity="high",
    fix="chmod 600 .credentials .credentials_rsaparams in the runner's folder, and chown them to "
    "the runner's user.",
)
def test_runner_credentials(runner_folder: RunnerFolder, files: Files) -> None:
    """With these files anybody takes the runner's place: jobs and their secrets are then sent to
    him, from wherever he is. Every other account of the host, and what breaks out of a container,
    must find them closed."""
    secrets = files.all([runner_folder.at(name) for name in SECRETS])
    expect_closed(secrets, {0, *runner_folder.users})


@control(
    title="A runner takes one job and is thrown away",
    severity="high",
    level=2,
    fix="Register GitHub's runner with config.sh --ephemeral or start it with --jitconfig, Azure's "
    "with run.sh --once, from a fresh machine or container each time.",
)
def test_runner_ephemeral(runner_folder: RunnerFolder) -> None:
    """Whatever a job leaves on a runner that lives on, the next one finds: an altered PATH, a
    process that waits for its secrets, a poisoned tool cache. On a runner that a public
    repository can reach, any stranger's pull request may be that job."""
    said = runner_folder.settings if not runner_folder.ephemeral else {}
    scope = said.get("githuburl") or said.get("serverurl") or ""
    expect(
        runner_folder.ephemeral,
        equals=True,
        what=f"one job a life for {runner_folder}{f' of {scope}' if scope else ''}",
    )


@control(
    title="What shapes every job of a runner is out of other users' hands",
    severity="high",
    fix="chown root and chmod 755 the hook scripts and their folders; leave .env and .path to root "
    "or the runner's user; remove RUNNER_ALLOW_RUNASROOT from .env and from the unit.",
)
def test_runner_steering(runner_folder: RunnerFolder, files: Files) -> None:
    """A runner reads .env and .path at every start and gives them to every job, and runs the hooks
    that they name before and after each. A hook that a job can write guards nothing: it must be
    root's. Leave to run as root is only ever needed for what must not be."""
    users = {0, *runner_folder.users}
    for file in files.all([runner_folder.at(name) for name in SHAPING]):
        if file.exists:
            expect(file.writable_by_others(users), equals=[], what=f"who else may write {file}")
    steering = runner_folder.steering
    allowed = [name for name in AS_ROOT if steering.get(name)]
    expect(allowed, equals=[], what="leave to run as root")
    hooks = sorted({value for name, value in steering.items() if HOOK.fullmatch(name) and value})
    for hook in hooks:
        file = files.get(runner_folder.at(hook))
        if file.exists:
            expect(file.writable_by_others(), equals=[], what=f"who may write the hook {file}")


@control(
    title="A Buildkite agent runs only what the site allows it to",
    severity="high",
    level=2,
    fix="In buildkite-agent.cfg set allowed-repositories, and allowed-plugins or no-plugins=true; "
    "no-command-eval=true where every step is a script of the repository.",
)
def test_buildkite_limits(buildkite_agent: BuildkiteAgent) -> None:
    """An agent does what Buildkite sends: any command, from any repository, with any plugin from
    the internet. Whoever gets at the account there, or at a pipeline's steps, is then on the host.
    The agent itself can refuse what it does not know."""
    for settings in buildkite_agent.settings:
        commands = on(settings, "no-command-eval")
        repositories = settings.get("allowed-repositories", "")
        bound = commands or _narrow(repositories)
        expect(bound, equals=True, what="whether repositories or commands are limited")
        off = on(settings, "no-plugins") or (
            (commands or on(settings, "no-local-hooks")) and "no-plugins" not in settings
        )
        plugins = off or _narrow(settings.get("allowed-plugins", ""))
        expect(plugins, equals=True, what="whether plugins are limited")


def _narrow(patterns: str) -> bool:
    """Whether each of some regular expressions leaves anything out, as far as it shows."""
    parts = [each.strip().strip("^$") for each in patterns.split(",") if each.strip()]
    return bool(parts) and not any(each in ("", "*", ".*", ".+", "(.*)", "(.+)") for each in parts)


@control(
    title="A Buildkite agent ends after a job",
    severity="high",
    level=2,
    fix="Set disconnect-after-job=true in buildkite-agent.cfg, and have the machine or container "
    "made anew for the next one.",
)
def test_buildkite_ephemeral(buildkite_agent: BuildkiteAgent) -> None:
    """What one job leaves behind meets the next one, perhaps of another team: altered tools,
    processes that listen, credentials. An agent that takes one job and is thrown away has no
    memory."""
    for settings in buildkite_agent.settings:
        ends = on(settings, "disconnect-after-job") or bool(settings.get("acquire-job"))
        expect(ends, equals=True, what=f"end after a job of {buildkite_agent}")


@control(
    title="A Buildkite agent's file and hooks are root's, its token is hidden",
    severity="high",
    fix="chown -R root:root the folder of hooks; chown root:buildkite-agent and chmod "
    "640 buildkite-agent.cfg.",
)
def test_buildkite_files(buildkite_agent: BuildkiteAgent, files: Files) -> None:
    """The token makes anybody an agent, who is then sent jobs with their secrets. Hooks run before
    every job and decide what may run: where the agent's user may write them, as packages leave it,
    a job rewrites the rules for all that follow."""
    if buildkite_agent.path:
        expect_closed([buildkite_agent.file], {0, *buildkite_agent.users})
    paths = _hooks(buildkite_agent)
    if not paths and not buildkite_agent.path:
        raise NotApplicable("the agent has no file and no hooks")
    there = [each for each in files.all(paths) if each.exists]
    inside = [path for each in there if each.kind == "directory" for path in files.list(each.path)]
    for file in [*there, *files.all(inside)]:
        expect(file.writable_by_others(), equals=[], what=f"who may write {file}")


def _hooks(agent: BuildkiteAgent) -> list[str]:
    """Return the folders of hooks and the scripts that an agent is told of."""
    said = {
        part.strip()
        for settings in agent.settings
        for name in HOOKS
        for part in settings.get(name, "").split(",")
    }
    return [agent.seen(each) for each in sorted(said) if each.startswith("/")]
