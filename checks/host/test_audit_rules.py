"""Whether the kernel records who touches what a Docker engine rests on.

What must be recorded of a file or directory: every change of it and of its attributes (``-p wa``).
Of a program also that it is run (``-p wax``): who starts a second engine, or runc by hand, gets
containers that nobody else knows of, and who replaces a program owns what it will do. Reading is
not asked for. A rule for some users or outcomes only is a gap: an intruder is who it leaves out.
"""

from __future__ import annotations

from collections.abc import Collection

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.audit import Audit
from hullcheck.facts.docker import DockerEngine
from hullcheck.facts.engine_files import EngineFile
from hullcheck.facts.engine_parts import (
    EngineContainerd,
    data_root,
    engine_program,
    own_programs,
    runtime_programs,
    unit_paths,
)

from .recorded import CHANGES, USE, expect_recorded

FIX_FILE = (
    "Add -w PATH -p wa -k docker to a file in /etc/audit/rules.d, before any rule with never for"
    " it, and run augenrules --load."
)
FIX_PROGRAM = (
    "Add -w PATH -p wax -k docker to a file in /etc/audit/rules.d, before any rule with never for"
    " it, and run augenrules --load."
)


def expect_file_recorded(audit: Audit, file: EngineFile) -> None:
    """Expect that the kernel records changes of one of an engine's files."""
    expect_recorded(audit, [file.file], CHANGES, f"no such file: {file}")


@control(
    title="The kernel's audit system is on, heard, and loses nothing",
    severity="medium",
    level=1,
    fix="Enable auditd, put -e 1 and -b 8192 in /etc/audit/rules.d, and after a loss "
    "auditctl --reset-lost.",
)
def test_audit_recording(audit: Audit) -> None:
    """Rules that are loaded record nothing while auditing is off, and what nobody reads, or
    what the queue had no room for, is not there on the day after."""
    state = audit.state
    if not expect([state.trouble] * bool(state.trouble), equals=[], what="the kernel's audit"):
        return
    heard = any(each.listens for each in state.readers)
    reader = "audit daemon" if state.status["pid"] else "journal" if heard else "nobody"
    expect(reader, one_of=("audit daemon", "journal"), what="reader of the kernel's records")
    expect(state.status["lost"], equals=0, what="records lost since the start")
    limit = state.status["backlog_limit"]
    if limit:
        expect(state.status["backlog"], at_most=limit - 1, what="records that wait")


@control(
    title="The audit rules in force are those in the rules files",
    severity="low",
    level=2,
    fix="Run augenrules --load and mend what it complains of; write what was loaded by hand "
    "into a file in /etc/audit/rules.d.",
)
def test_audit_rules_loaded(audit: Audit) -> None:
    """auditctl leaves out a rule for a directory that is not there yet, and stops at the first
    mistake in a file. A rule that was loaded by hand is gone after the next start."""
    files = audit.configured
    if not any(files.values()):
        if audit.rules:
            raise Unknown("the rules that are loaded are from elsewhere than /etc/audit")
        raise NotApplicable("no audit rules are loaded, and none are written in /etc/audit")
    written = {(rule.action, rule.path) for rules in files.values() for rule in rules if rule.path}
    loaded = {(rule.action, rule.path) for rule in audit.rules if rule.path}
    expect(_named(written - loaded), equals=[], what="paths with a rule that is not loaded")
    expect(_named(loaded - written), equals=[], what="paths with a rule in no file")


def _named(rules: Collection[tuple[str, str]]) -> list[str]:
    return sorted(path if action == "always" else f"{path} (never)" for action, path in rules)


@control(
    title="Use and change of the engine's program are recorded",
    severity="medium",
    level=1,
    fix=FIX_PROGRAM,
)
def test_audit_engine_program(audit: Audit, docker: DockerEngine) -> None:
    """Whoever replaces dockerd is root at its next start, and whoever runs another one has an
    engine without this one's settings. What counts is the program that really runs."""
    program = engine_program(docker)
    expect_recorded(audit, [program], USE, f"no such file: {program}")


@control(
    title="Changes below containerd's state directory are recorded",
    severity="medium",
    level=1,
    fix="Once containerd has started, load -a always,exit -F arch=b64 -F dir=/run/containerd "
    "-F perm=wa -k docker, and the same with arch=b32; until the directory is there they are "
    "refused, while -w is taken and watches the name only.",
)
def test_audit_run_containerd(audit: Audit, engine_containerd: EngineContainerd) -> None:
    """containerd's sockets and what it runs containers from lie here. Who writes into it
    changes a container as it starts. The directory is new after each start of the host: load
    the rule when it is there, or auditctl watches a name and not what lies below it."""
    directories = engine_containerd.directories
    expect_recorded(audit, directories, CHANGES, "there is no such directory")


@control(
    title="Changes of the engine's data are recorded",
    severity="medium",
    level=1,
    fix="Add -w DATA-ROOT -p wa -k docker to a file in /etc/audit/rules.d and run augenrules "
    "--load. Rules -a never,exit -F exe=… for dockerd and containerd may go before it.",
)
def test_audit_data_root(audit: Audit, docker: DockerEngine) -> None:
    """Images, volumes and every container's files lie in the data root; a program put there
    runs in a container tomorrow. The engine's own writing may be left out of the record."""
    root = data_root(docker)
    exempt = {path for file in own_programs(docker) for path in (file.path, file.resolved)}
    expect_recorded(audit, [root], CHANGES, f"no such file: {root}", exempt)


@control(
    title="Changes of the engine's configuration directory are recorded",
    severity="medium",
    level=1,
    fix=FIX_FILE,
)
def test_audit_config_directory(audit: Audit, config_directory: EngineFile) -> None:
    """Certificates and keys that let clients in, and registries that are believed, are in this
    directory. A new file in it is as good as a changed one, so one rule for one file is not
    enough."""
    expect_file_recorded(audit, config_directory)


@control(
    title="Changes of the unit that starts the engine are recorded",
    severity="medium",
    level=1,
    fix=FIX_FILE,
)
def test_audit_service_unit(audit: Audit, docker: DockerEngine) -> None:
    """The unit and its drop-ins say which program systemd starts as root, and with which
    options. Watched must be the files that systemd loaded, wherever they are."""
    units = unit_paths(docker, docker.unit_files)
    expect_recorded(audit, units, CHANGES, "no systemd unit runs the engine")


@control(
    title="Changes of containerd's socket are recorded",
    severity="medium",
    level=1,
    fix=FIX_FILE,
)
def test_audit_containerd_socket(audit: Audit, containerd_socket: EngineFile) -> None:
    """Who may open this socket starts any container. A change of its mode or owner, or another
    socket in its place, gives it away."""
    expect_file_recorded(audit, containerd_socket)


@control(
    title="Changes of the engine's socket unit are recorded",
    severity="medium",
    level=1,
    fix=FIX_FILE,
)
def test_audit_socket_unit(audit: Audit, docker: DockerEngine) -> None:
    """The socket unit says where the engine listens and who may speak to it; its next start
    opens the engine to whom it names."""
    units = unit_paths(docker, docker.socket_unit_files)
    expect_recorded(audit, units, CHANGES, "no socket unit goes with the engine")


@control(
    title="Changes of the engine's environment file are recorded",
    severity="medium",
    level=1,
    fix=FIX_FILE,
)
def test_audit_default_file(audit: Audit, default_file: EngineFile) -> None:
    """Options and proxies of the engine come from this file where its unit or start script
    reads it."""
    expect_file_recorded(audit, default_file)


@control(
    title="Changes of the engine's configuration file are recorded",
    severity="medium",
    level=1,
    fix=FIX_FILE,
)
def test_audit_config_file(audit: Audit, config_file: EngineFile) -> None:
    """daemon.json turns every protection of the engine on or off. Watched must be the file in
    use, whatever --config-file says it is."""
    expect_file_recorded(audit, config_file)


@control(
    title="Changes of containerd's configuration are recorded",
    severity="medium",
    level=1,
    fix=FIX_FILE,
)
def test_audit_containerd_config(audit: Audit, engine_containerd: EngineContainerd) -> None:
    """The file names runtimes, plugins and registries; each of them is a program or an image
    that will run as root."""
    config = engine_containerd.config
    expect_recorded(audit, [config], CHANGES, f"no such file: {config}")


@control(
    title="Changes of the engine's sysconfig file are recorded",
    severity="medium",
    level=1,
    fix=FIX_FILE,
)
def test_audit_sysconfig_file(audit: Audit, sysconfig_file: EngineFile) -> None:
    """On hosts of the Red Hat family the engine's options stand here."""
    expect_file_recorded(audit, sysconfig_file)


@control(
    title="Use and change of containerd's program are recorded",
    severity="medium",
    level=1,
    fix=FIX_PROGRAM,
)
def test_audit_containerd_program(audit: Audit, engine_containerd: EngineContainerd) -> None:
    """containerd starts every container as root, and a second one starts containers of which
    the engine knows nothing."""
    none = "containerd is not installed"
    expect_recorded(audit, engine_containerd.programs, USE, none)


def _expect_shim_recorded(audit: Audit, containerd: EngineContainerd, name: str) -> None:
    expect_recorded(audit, containerd.named(name), USE, f"{name} is not installed")


@control(
    title="Use and change of containerd-shim are recorded",
    severity="medium",
    level=1,
    fix=FIX_PROGRAM,
)
def test_audit_containerd_shim(audit: Audit, engine_containerd: EngineContainerd) -> None:
    """containerd before 2.0 may start containers through this program, as root. Where it is
    installed it can be used and replaced."""
    _expect_shim_recorded(audit, engine_containerd, "containerd-shim")


@control(
    title="Use and change of containerd-shim-runc-v1 are recorded",
    severity="medium",
    level=1,
    fix=FIX_PROGRAM,
)
def test_audit_containerd_shim_runc_v1(audit: Audit, engine_containerd: EngineContainerd) -> None:
    """The shim of containerd before 2.0 is the parent of containers, as root; a client may ask
    for it by name wherever it is installed."""
    _expect_shim_recorded(audit, engine_containerd, "containerd-shim-runc-v1")


@control(
    title="Use and change of containerd-shim-runc-v2 are recorded",
    severity="medium",
    level=1,
    fix=FIX_PROGRAM,
)
def test_audit_containerd_shim_runc_v2(audit: Audit, engine_containerd: EngineContainerd) -> None:
    """The parent of every container of today's engines runs as root on the host."""
    _expect_shim_recorded(audit, engine_containerd, "containerd-shim-runc-v2")


@control(
    title="Use and change of the programs that start containers are recorded",
    severity="medium",
    level=1,
    fix=FIX_PROGRAM,
)
def test_audit_runc(audit: Audit, docker: DockerEngine) -> None:
    """runc, and every other runtime that the engine was given, makes containers as root. Run by
    hand it makes one that no engine lists, and a container that gets to replace it owns the
    host (CVE-2019-5736)."""
    expect_recorded(audit, runtime_programs(docker), USE, "the engine's runtime is not installed")
