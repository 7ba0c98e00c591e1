"""What is done in containers while they run."""

import re
from datetime import UTC, datetime

from hullcheck.control import Unknown, control, expect
from hullcheck.facts import descriptors, environment
from hullcheck.facts.containers import Container
from hullcheck.facts.processes import Processes
from hullcheck.facts.programs import Program, catalogue, parent, programs, terminals, tracer
from hullcheck.inventory.policy import Policy

from .running import expect_none, named_as

REMOTE = catalogue(
    # Desktops.
    "Xvnc", "Xtightvnc", "Xtigervnc", "vncserver", "x0vncserver", "x11vnc", "tigervnc",
    "tightvncserver", "wayvnc", "krfb", "vino-server", "novnc_proxy", "websockify", "kasmvnc",
    "Xkasmvnc", "xrdp", "xrdp-sesman", "xrdp-chansrv", "freerdp-shadow-cli", "xpra", "x2goserver",
    "nxserver", "nxserver.bin", "teamviewerd", "anydesk", "rustdesk", "rustdesk-server",
    # Shells.
    "telnetd", "in.telnetd", "utelnetd", "telnetd-ssl", "rshd", "in.rshd", "rlogind", "in.rlogind",
    "rexecd", "in.rexecd", "ttyd", "gotty", "wetty", "shellinaboxd", "butterfly.server", "webssh",
    "wssh", "tmate", "upterm", "sshx", "gs-netcat", "gs-sftp", "code-server", "openvscode-server",
    # Consoles of administration.
    "webmin", "miniserv", "usermin", "cockpit-ws", "cockpit-tls", "ajenti-panel", "adbd",
)  # fmt: skip
NETCATS = frozenset({"nc", "ncat", "netcat", "nc.traditional"})
_EXECUTES = re.compile("-[A-Za-z0-9]*e|--exec(=.*)?|--sh-exec(=.*)?|--lua-exec(=.*)?")
_SHELLS_OUT = frozenset({"ncat", "nc.traditional"})
"""Those whose -c is a command; others' is not (nc(1), ncat(1))."""

PACKAGE_MANAGERS = catalogue(
    "apt", "apt-get", "apt-key", "aptitude", "apt.systemd.daily", "dpkg", "dpkg-deb", "dselect",
    "unattended-upgrade", "packagekitd", "tasksel", "yum", "dnf", "dnf-automatic", "microdnf",
    "tdnf", "rpm", "rpm-ostree", "zypper", "urpmi", "apk", "opkg", "ipkg", "pacman", "yay", "paru",
    "emerge", "xbps-install", "eopkg", "swupd", "slackpkg", "installpkg", "nix-env", "guix",
    "flatpak", "brew", "pip", "pipx", "easy_install", "gem", "cpan", "cpanm", "luarocks",
    "pecl", "pear",
)  # fmt: skip
LAUNCHERS = catalogue(
    "npm", "yarn", "pnpm", "bun", "bundle", "bundler", "poetry", "pipenv", "pdm", "uv", "rye",
    "hatch", "conda", "mamba", "micromamba", "composer", "cargo", "nix", "pixi", "corepack",
)  # fmt: skip
INSTALLS = frozenset({
    "install", "i", "in", "it", "isntall", "ci", "cit", "clean-install", "install-test", "add",
    "update", "up", "upgrade", "remove", "rm", "uninstall", "un", "unlink", "link", "rebuild",
    "dedupe", "sync", "require", "create-project", "global", "self-update", "self", "create",
    "fetch", "pip", "tool", "profile",
})  # fmt: skip
STARTS = frozenset({"run", "start", "exec", "test", "x", "dlx", "run-script", "restart", "serve",
                    "server", "shell", "develop"})  # fmt: skip

DEBUGGERS = catalogue(
    "gdb", "gdbserver", "gdb-multiarch", "lldb", "lldb-server", "lldb-mi", "strace", "ltrace",
    "tcpdump", "tshark", "dumpcap", "ngrep", "ettercap", "bpftrace", "bpftool", "perf", "trace-cmd",
    "stap", "staprun", "stapio", "dtrace", "dlv", "rr", "reptyr", "injcode", "frida-server",
    "frida-trace", "frida", "frida-inject", "radare2", "r2", "py-spy", "rbspy", "phpspy", "pdb",
    "debugpy", "uftrace", "valgrind", "heaptrack",
)  # fmt: skip
CLIENTS = catalogue(
    "docker", "docker-compose", "docker-buildx", "docker-machine", "podman", "podman-remote",
    "podman-compose", "buildah", "nerdctl", "ctr", "crictl", "kubectl", "oc", "helm", "k9s",
    "kubeadm", "lxc", "incus", "machinectl",
)  # fmt: skip

SHELLS = frozenset({"sh", "ash", "bash", "dash", "ksh", "ksh93", "mksh", "zsh", "fish", "tcsh",
                    "csh", "pwsh", "elvish", "nu"})  # fmt: skip

DAY = 86400
MAXIMUM_AGE = 90
"""Days that a container may run where the site has not said: a quarter, in which no distribution
goes without a security update."""


@control(
    title="No container offers a remote desktop or shell",
    severity="high",
    fix="Remove the server from the image; use docker exec or the orchestrator's way in.",
)
def test_remote_desktops_and_shells(container: Container) -> None:
    """A desktop, a shell in a browser or a telnet server hands the container to whoever reaches
    its port, past the accounts and logs of the host. What runs is told by the host's kernel, in
    images without any tools too."""
    expect_none(container, "remote desktops and shells", _remote)


def _remote(program: Program) -> str:
    told = named_as(REMOTE)(program)
    executes = any(_EXECUTES.fullmatch(each) for each in program.arguments)
    executes = executes or ("-c" in program.arguments and bool(program.names & _SHELLS_OUT))
    if program.names & NETCATS and executes:
        return "a shell behind netcat"
    served = [each for each in program.arguments if each.upper().startswith(("EXEC:", "SYSTEM:"))]
    if "socat" in program.names and served:
        return f"socat {served[0]}"
    return told


@control(
    title="No package manager runs in a container",
    severity="medium",
    fix="Build what is needed into the image, scan that, and start a new container from it.",
)
def test_package_manager(container: Container) -> None:
    """What is installed into a running container was never scanned or approved, and is gone when
    it is started anew: it is either a habit to give up or somebody who has broken in. A tool that
    merely starts the application (npm start) is none."""
    expect_none(container, "package managers", _installs)


def _installs(program: Program) -> str:
    always = named_as(PACKAGE_MANAGERS)(program)
    launcher = named_as(LAUNCHERS)(program)
    if always or not launcher:
        return always
    told = [each for each in program.arguments if each in INSTALLS | STARTS]
    bare = launcher == "yarn" and not program.arguments
    installs = bare or (told and told[0] in INSTALLS)
    return f"{launcher} {told[0] if told else 'install'}" if installs else ""


@control(
    title="Nothing is debugged or traced in a container",
    severity="high",
    fix="End the debugger; find out who started it, and debug a copy of the container.",
)
def test_debuggers(container: Container) -> None:
    """Who traces a process reads its memory, keys and passwords included, and can make it do
    anything. A sniffer reads what its neighbours send. The kernel names a tracer even if it is
    outside of the container and called something else."""
    expect_none(container, "debuggers", named_as(DEBUGGERS))
    traced = [
        f"{process} by {tracer(process)}" for process in container.processes if process.tracer
    ]
    expect(traced, equals=[], what="traced processes")


@control(
    title="No client of an engine or orchestrator runs in a container",
    severity="high",
    fix="Give what has to be done to the engine or the orchestrator itself, or to a build service.",
)
def test_engine_clients(container: Container) -> None:
    """A client of a container engine inside a container is there to command the host, or is
    about to try: what it may do is what root on the host may do."""
    expect_none(container, "engine clients", named_as(CLIENTS))


@control(
    title="Nobody works inside a container at a terminal",
    severity="medium",
    level=2,
    fix="Let it be closed; look at logs and metrics, and change the image, not the container.",
)
def test_shells_from_outside(container: Container) -> None:
    """What a person does by hand in a container is in no image and no log. A session has a parent
    outside of the container and a terminal, or is a shell without a command to run; a health
    check is neither."""
    container.need_running()
    init, inside = container.init, {process.pid for process in container.processes}
    known = terminals(container.host)
    # Without pids of its own, what lost its parent has one outside, and keeps its terminal.
    own = known.get(init.pid, 0) if init.nspid[-1:] != (1,) else 0
    found = []
    for process, program in programs(container):
        if process is init or process.ppid in inside:
            continue
        terminal = known.get(process.pid)
        typed = program.names & SHELLS and not program.scripted
        if terminal is None or (terminal and terminal != own) or typed:
            found.append(f"{process} of user {process.uids[1]}, started by {parent(process)}")
    expect(found, equals=[], what="sessions")


@control(
    title="No container runs for longer than the site allows",
    severity="low",
    fix="Rebuild its image on an updated base and replace it; set the policy's "
    "maximum_container_age to the days between two of your updates.",
)
def test_container_age(container: Container, policy: Policy, processes: Processes) -> None:
    """Containers are not patched but replaced. One that is old runs software with every flaw
    that became known since; started again it is still as old as the day it was created."""
    container.need_running()
    # The host's own time, by its own clock: the audit's processes have just been started there.
    now = max(process.started for process in processes)
    created = _moment(str(container.inspect.get("Created") or ""))
    born = min(container.init.started, now if created is None else created)
    if created is not None and created > now + DAY:
        raise Unknown("it was created in the future: the host's clock was set back")
    limit = MAXIMUM_AGE if policy.maximum_container_age is None else policy.maximum_container_age
    expect(int((now - born) // DAY), at_most=limit, what="its age in days")


def _moment(text: str) -> float | None:
    """Return a moment that Docker tells in seconds since the epoch; None if it tells none.

    :raises Unknown: it makes no sense.
    """
    if not text or text.startswith("0001-"):
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise Unknown(f"the engine tells a strange time of creation: {text[:40]!r}") from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


@control(
    title="No environment variable holds a secret",
    severity="high",
    fix="Give it as a file (a secret of the orchestrator, NAME_FILE); if a variable is none, list "
    "its name in the policy's plain_variables.",
)
def test_secrets_in_environment(container: Container, policy: Policy) -> None:
    """What is in the environment is in the engine's description, in crash reports, in the logs of
    many frameworks and in every child process. Names tell what holds a secret; the values do not
    leave the host."""
    plain = set(policy.plain_variables)
    found: dict[str, set[str]] = {}
    own, held = "", environment.effective(container) if container.running else {}
    for who, variables in {own: environment.configured(container), **held}.items():
        for each in variables:
            if each.secret and each.name not in plain:
                found.setdefault(each.name, set()).add(who)
    told = [
        name if own in holders else f"{name} of {min(holders)}" for name, holders in found.items()
    ]
    expect(sorted(told), equals=[], what="variables that hold secrets")


@control(
    title="No process in a container holds files of the host open",
    severity="critical",
    fix="Stop the container; update runc (CVE-2024-21626 is fixed in 1.1.12), and find out what "
    "handed it that file.",
)
def test_foreign_descriptors(container: Container) -> None:
    """A directory of the host that a process still has open, or works in, leads around every
    mount and out of the container. The kernel tells on which mount an open file is, whatever its
    name."""
    container.need_running()
    expect(descriptors.foreign(container), equals=[], what="files of the host")
