"""Whether the audit system records what leads out of containers, and whether that is kept."""

from __future__ import annotations

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.audit import Audit
from hullcheck.facts.audit_calls import call_gaps
from hullcheck.facts.auditd import AuditDaemon, locked_at_boot
from hullcheck.facts.engine_paths import EnginePaths, has_docker
from hullcheck.facts.files import File, Files
from hullcheck.facts.kernel import Kernel
from hullcheck.inventory.policy import Policy

from .recorded import CHANGES, USE, expect_recorded

MODULES = ("init_module", "finit_module", "delete_module")
WAYS_OUT = ("mount", "unshare", "setns", "bpf", "ptrace")
NEW_MOUNTS = (5, 2)
"""The kernel that brought move_mount, which mount(8) of util-linux 2.39 uses."""

GAINS = (
    "/usr/bin/newuidmap", "/usr/bin/newgidmap", "/usr/bin/mount", "/usr/bin/umount",
    "/usr/bin/fusermount", "/usr/bin/fusermount3", "/bin/mount", "/bin/umount",
)  # fmt: skip

INIT_PROGRAMS = frozenset(
    f"{place}/systemd/{name}"
    for place in ("/usr/lib", "/lib")
    for name in ("systemd", "systemd-executor", "systemd-udevd", "systemd-nspawn")
)
"""What makes namespaces and mounts for services."""

HEARD = frozenset({"syslog", "email", "exec", "rotate", "single", "halt"})
SAFE = frozenset({"single", "halt"})
KEPT = ("keep_logs", "rotate", "ignore", "syslog")
FEWEST = 2
"""With fewer files nothing is rotated, and the one file grows (auditd.conf(5), num_logs)."""

BACKLOG = 8192


@control(
    title="Use and change of every engine's programs are recorded",
    severity="medium",
    level=1,
    fix="Add -w PATH -p wax -k engines for each program, and -w DIRECTORY -p wa for directories "
    "of CNI plugins, to a file in /etc/audit/rules.d and run augenrules --load.",
)
def test_audit_runtime_programs(audit: Audit, engine_paths: EnginePaths) -> None:
    """Podman, crun, ctr, CRI-O, a kubelet: each of them starts containers as root, also beside
    the engine that is meant to, and who replaces one, or a CNI plugin, is root at its next run.
    Programs that a Docker daemon uses are left to the controls that ask this daemon."""
    docker = () if has_docker(audit.host) else engine_paths.docker
    none = "no other engine's programs are installed"
    files = [*docker, *engine_paths.programs]
    if not files and not engine_paths.plugins:
        raise _none_or_unknown(engine_paths, none)
    if files:
        expect_recorded(audit, files, USE, none)
    if engine_paths.plugins:
        expect_recorded(audit, engine_paths.plugins, CHANGES, none)
    _expect_all_seen(engine_paths)


@control(
    title="Changes of every engine's settings are recorded",
    severity="medium",
    level=1,
    fix="Add -w PATH -p wa -k engines for each file and directory named to a file in "
    "/etc/audit/rules.d and run augenrules --load.",
)
def test_audit_runtime_config(audit: Audit, engine_paths: EnginePaths) -> None:
    """/etc/containers says whose images are believed, /etc/crio and a kubelet's files what a pod
    may do, a CNI configuration which program runs for it. One line there undoes what the other
    controls saw, and nobody knows whose it was."""
    containerd = () if has_docker(audit.host) else engine_paths.containerd
    files = [*engine_paths.config, *containerd]
    none = "there are no settings of other engines"
    if not files:
        raise _none_or_unknown(engine_paths, none)
    expect_recorded(audit, files, CHANGES, none)
    _expect_all_seen(engine_paths)


def _none_or_unknown(paths: EnginePaths, none: str) -> NotApplicable | Unknown:
    return Unknown(paths.hidden) if paths.hidden else NotApplicable(none)


def _expect_all_seen(paths: EnginePaths) -> None:
    if paths.hidden:
        raise Unknown(paths.hidden)


@control(
    title="Loading and unloading of kernel modules is recorded",
    severity="medium",
    level=1,
    fix="Add -a always,exit -F arch=b64 -S init_module,finit_module,delete_module -k modules, "
    "and the same with arch=b32, to a file in /etc/audit/rules.d and run augenrules --load; add "
    "no filter by auid.",
)
def test_audit_modules(audit: Audit) -> None:
    """A module is code in the kernel that all containers share, and the surest way to hide from
    every other check. A privileged container loads one with a single system call. It has no
    login, so a rule that is limited to users who logged in does not see it."""
    expect(call_gaps(audit, MODULES), equals=[], what="audit of kernel modules")


@control(
    title="System calls that lead out of containers are recorded",
    severity="medium",
    level=2,
    fix="Add -a always,exit -F arch=b64 -S mount,move_mount,unshare,setns,bpf,ptrace -k escapes, "
    "and the same with arch=b32, to a file in /etc/audit/rules.d; rules -a never,exit -F exe=… "
    "for runc, containerd, dockerd and systemd may go before it.",
)
def test_audit_escapes(audit: Audit, engine_paths: EnginePaths, kernel: Kernel) -> None:
    """Who has broken into a container mounts the host's disk, joins the host's namespaces, loads
    a BPF program or attaches to another process. Recorded, that is seen; the engine's own calls
    of this kind may be left out, for they are many. New programs mount through move_mount."""
    calls = list(WAYS_OUT)
    if kernel.version >= NEW_MOUNTS:
        calls.insert(1, "move_mount")
    own = (*engine_paths.docker, *engine_paths.programs)
    exempt = {path for each in own for path in (each.path, each.resolved) if each.exists}
    found = call_gaps(audit, calls, exempt | INIT_PROGRAMS)
    expect(found, equals=[], what="audit of system calls")


@control(
    title="Runs of the programs that map users and mount are recorded",
    severity="low",
    level=2,
    fix="Add -a always,exit -F path=PROGRAM -F perm=x -k privileged for each program named to a "
    "file in /etc/audit/rules.d and run augenrules --load.",
)
def test_audit_privileged_programs(audit: Audit, files: Files) -> None:
    """newuidmap, newgidmap, mount and fusermount act as root for whoever runs them. They are how
    a user gets a namespace with many user ids, and a container that no engine knows. Programs
    of services have no login, so rules for users who logged in leave them out."""
    found: dict[str, File] = {}
    for file in files.all(GAINS):
        if file.exists:
            found.setdefault(file.resolved, file)
    none = "none of these programs is installed"
    expect_recorded(audit, list(found.values()), "x", none)


@control(
    title="Audit rules cannot be changed until the next start",
    severity="medium",
    level=2,
    fix="Put -e 2 on the last line of the last file in /etc/audit/rules.d, run augenrules --load; "
    "from then on a change of rules needs a restart of the host.",
)
def test_audit_rules_locked(audit: Audit) -> None:
    """Whoever becomes root first deletes the rules that would tell of it: one call of auditctl
    -D. Locked rules can only be got rid of by a restart, which is noticed."""
    if audit.state.trouble:
        expect([audit.state.trouble], equals=[], what="the kernel's audit")
        return
    expect(audit.state.status["enabled"], equals=2, what="enabled (auditctl -s)")
    if audit.state.status["enabled"] == 2 and audit.rules:
        locked = locked_at_boot(audit)
        if locked is not None:
            expect(locked, equals=True, what="-e 2 in the rules files")


@control(
    title="The kernel audits from its start",
    severity="low",
    level=2,
    fix="Add audit=1 audit_backlog_limit=8192 to the kernel's command line (GRUB_CMDLINE_LINUX in "
    "/etc/default/grub, or /etc/kernel/cmdline) and restart.",
)
def test_audit_boot(kernel: Kernel) -> None:
    """A process that was started before auditing was switched on is never audited, whatever it
    does later; that can be the engine itself. And what happens at the start is lost where the
    queue is too short for it."""
    line = kernel.cmdline
    expect(line.get("audit", ("absent",))[-1], one_of=("1", "on"), what="audit= at boot")
    limit = line.get("audit_backlog_limit", ("64",))[-1]
    if not limit.isdecimal():
        raise Unknown(f"audit_backlog_limit= at boot is {limit[:40]!r}")
    if int(limit):
        expect(int(limit), at_least=BACKLOG, what="audit_backlog_limit= at boot (64 by default)")


@control(
    title="The audit log is written, and is root's alone",
    severity="medium",
    level=1,
    fix="In /etc/audit/auditd.conf set write_logs = yes and local_events = yes; chown root and "
    "chmod 0600 the log, 0640 with log_group; chmod 0700 its directory.",
)
def test_audit_log_file(audit_daemon: AuditDaemon) -> None:
    """The log says who did what, with commands and file names that are secrets at times. Who may
    write it removes what tells of them, and a daemon that passes records on and writes none
    leaves nothing to look at when the receiver is gone."""
    for name in ("local_events", "write_logs"):
        expect(audit_daemon.word(name), equals="yes", what=f"{name} in auditd.conf")
    if audit_daemon.word("write_logs") != "yes":
        return
    log = audit_daemon.log
    if not expect(log.exists, equals=True, what=f"{log} exists"):
        return
    allowed = 0o600 if audit_daemon.word("log_group") == "root" else 0o640
    expect(log.uid, equals=0, what=f"owner of {log}")
    expect(f"{log.mode & ~allowed & 0o7777:04o}", equals="0000", what=f"mode of {log} beyond "
           f"{allowed:04o}")  # fmt: skip
    if allowed & 0o040 and log.mode & 0o040:
        expect(log.group, one_of=(audit_daemon.word("log_group"), "root"), what=f"group of {log}")
    changers = [*log.writable_by_others(), *log.acl_beyond(allowed)]
    expect(changers, equals=[], what=f"ways for others to {log}")


@control(
    title="Somebody hears of it when the audit log's disk fills up",
    severity="low",
    level=1,
    fix="In /etc/audit/auditd.conf set space_left_action = email (or syslog), and space_left "
    "above admin_space_left, so that there is time to act.",
)
def test_audit_space_warning(audit_daemon: AuditDaemon) -> None:
    """A disk that is full ends the record, and an intruder can fill it. Before that the daemon
    can tell somebody, make room or stop the host; told to do nothing it just stops writing."""
    action = audit_daemon.word("space_left_action")
    expect(action, one_of=HEARD, what="space_left_action")
    if action not in HEARD:
        return
    text = [audit_daemon.settings.get(name, "0") for name in ("space_left", "admin_space_left")]
    if all(each.isdecimal() for each in text):
        expect(audit_daemon.number("space_left"), at_least=audit_daemon.number("admin_space_left"),
               what="space_left, against admin_space_left")  # fmt: skip


@control(
    title="The host does not go on unaudited when the audit log's disk is full",
    severity="medium",
    level=2,
    fix="In /etc/audit/auditd.conf set admin_space_left_action, disk_full_action and "
    "disk_error_action to single or halt (rotate where the oldest records may be lost).",
)
def test_audit_full_disk(audit_daemon: AuditDaemon) -> None:
    """Where the daemon only stops writing, whoever fills its disk is free to do anything after.
    A host of high value rather stops. That is a choice against availability."""
    for name, allowed in (
        ("admin_space_left_action", SAFE | {"rotate"}),
        ("disk_full_action", SAFE | {"rotate"}),
        ("disk_error_action", SAFE),
    ):
        expect(audit_daemon.word(name), one_of=allowed, what=name)


@control(
    title="Audit records are kept as long as the site wants",
    severity="low",
    level=2,
    fix="In /etc/audit/auditd.conf set max_log_file_action = keep_logs, or num_logs times "
    "max_log_file (in MB) as large as audit_log_megabytes in the policy.",
)
def test_audit_log_kept(audit_daemon: AuditDaemon, policy: Policy) -> None:
    """With the usual five files of 8 MB an intruder makes noise for a few minutes, and what
    tells of the entry is overwritten. How much must stay here depends on whether records are
    sent off, so the site has to say."""
    action = audit_daemon.word("max_log_file_action")
    if not expect(action, one_of=KEPT, what="max_log_file_action"):
        return
    files = audit_daemon.number("num_logs")
    if action != "rotate" or files < FEWEST:
        return
    size = files * audit_daemon.number("max_log_file")
    if policy.audit_log_megabytes is None:
        raise Manual("see that it suffices that the newest audit records are kept",
                     {"megabytes": size, "files": files})  # fmt: skip
    expect(size, at_least=policy.audit_log_megabytes, what="megabytes of audit records that stay")
