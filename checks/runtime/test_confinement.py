"""What the kernel forbids the processes of containers."""

import json

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.containers import Container
from hullcheck.facts.files import Files
from hullcheck.facts.lsm import LSM
from hullcheck.facts.mounts import Mount, covering, within
from hullcheck.facts.processes import Process

from .wording import alike, expect_unprivileged

KERNEL, OWN = ("proc", "sysfs"), ("/proc", "/sys")
"""The file systems with the kernel's files, and where a container has its own."""

INNER = ("bpf", "configfs", "debugfs", "efivarfs", "pstore", "securityfs", "tracefs")
"""File systems with which the kernel is debugged, traced and set up."""

UNCONFINED_TYPES = (
    "container_runtime_t", "docker_t", "init_t", "initrc_t", "kernel_t", "spc_t", "super_t",
    "unconfined_service_t", "unconfined_t",
)  # fmt: skip

MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
    "/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats", "/sys/firmware",
)  # fmt: skip
READ_ONLY = (
    "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys",
)  # fmt: skip

SELINUX_FIELDS = 4


@control(
    title="Every process in a container has an AppArmor profile in enforce mode",
    severity="high",
    fix="Start it without --security-opt apparmor=unconfined and load the profile it names.",
)
def test_apparmor_profile(container: Container, lsm: LSM) -> None:
    """AppArmor's profile for containers denies writes to the kernel's control files and mounts,
    whatever else went wrong. A profile that only complains denies nothing."""
    if not lsm.apparmor.enabled:
        raise NotApplicable("the kernel has no AppArmor enabled")
    asked = [value for name, value in container.security_options if name == "apparmor"]
    expect(asked, without=("unconfined",), what="AppArmor profile asked for")
    named = str(container.inspect.get("AppArmorProfile") or "")
    expect([named], without=("unconfined",), what="AppArmor profile")
    if not container.running:
        expect_unprivileged(container, "no profile")
    for process in container.processes:
        found = container.confinement
        label = found.apparmor.get(process.pid) or found.labels.get(process.pid)
        if not label:
            raise Unknown(f"cannot read the AppArmor label of {process}")
        mode = label.rpartition(" (")[2].rstrip(")")
        expect(mode, one_of=("enforce", "kill"), what=f"mode of {label} of {process}")


@control(
    title="Every process in a container has a container's SELinux label",
    severity="high",
    fix="Start it without --security-opt label=disable, and the daemon with selinux-enabled.",
)
def test_selinux_label(container: Container, lsm: LSM) -> None:
    """SELinux keeps a container that broke out from the host's files, and containers from each
    other's, if its processes carry a container type and categories of their own."""
    if not lsm.selinux.enabled:
        raise NotApplicable("the kernel has no SELinux enabled")
    asked = [value for name, value in container.security_options if name == "label"]
    expect(asked, without=("disable",), what="SELinux label asked for")
    if not container.running:
        if container.docker is not None:
            on = container.docker.setting("selinux-enabled").value
            expect(on, equals=True, what="selinux-enabled of the engine")
        expect_unprivileged(container, "no label of its own")
    for process in container.processes:
        label = container.confinement.labels.get(process.pid, "")
        fields = label.split(":", SELINUX_FIELDS)
        if len(fields) < SELINUX_FIELDS:
            raise Unknown(f"cannot read the SELinux label of {process}")
        kind, level = fields[2], ":".join(fields[3:])
        expect({kind}, without=UNCONFINED_TYPES, what=f"SELinux type of {process}")
        categories = "some" if "c" in level.rpartition(":")[2] else "none"
        expect(categories, equals="some", what=f"SELinux categories of {process}")


@control(
    title="No two containers share their SELinux categories",
    severity="medium",
    level=2,
    fix="Let the engine choose the level: start it without --security-opt label=level:…, or accept "
    "in a waiver that these two are one.",
)
def test_selinux_categories(container: Container, containers: list[Container], lsm: LSM) -> None:
    """Categories are what keeps a container of the usual type from the files and processes of
    the next one. Two with the same pair are one to SELinux; those of a pod are meant to be."""
    if not lsm.selinux.enabled:
        raise NotApplicable("the kernel has no SELinux enabled")
    container.need_running()
    own = _level(container)
    pod = _pod(container)
    same = [
        str(other)
        for other in containers
        if other.id != container.id and other.running and not (pod and _pod(other) == pod)
        if own and _level(other) == own
    ]
    expect(same, equals=[], what=f"containers with the same categories, {own}")


def _level(container: Container) -> str:
    """Return the level of a container's first process: s0:c1,c2."""
    label = container.confinement.labels.get(container.init.pid, "")
    fields = label.split(":", SELINUX_FIELDS - 1)
    if len(fields) < SELINUX_FIELDS:
        raise Unknown(f"cannot read the SELinux label of {container.init}")
    return fields[3] if "c" in fields[3].rpartition(":")[2] else ""


def _pod(container: Container) -> str:
    """Return the pod that a name like namespace/pod/container tells; "" if none does."""
    return container.name.rpartition("/")[0]


@control(
    title="Every process in a container is under a seccomp filter",
    severity="high",
    fix="Start it without --security-opt seccomp=unconfined, with the engine's profile.",
)
def test_seccomp(container: Container) -> None:
    """Most holes in the kernel lie behind system calls that no ordinary program makes. Whether
    a filter is attached the kernel tells for every process; that a profile is named in a
    description says nothing if the engine or the kernel did not apply it."""
    asked = [value for name, value in container.security_options if name == "seccomp"]
    for profile in asked:
        loose = "one that allows everything" if profile.startswith("{") else profile
        given = DENIES if _denies(profile) else loose
        expect(given, equals=DENIES, what="the seccomp profile asked for")
    for filtered, names in alike(container, _filtered):
        expect(filtered, one_of=("strict", "filter"), what=f"seccomp of {names}")
    if not container.running:
        expect_unprivileged(container, "no seccomp filter")
        if container.docker is None and asked:
            return
        default = container.engine.security_options.get("seccomp")
        known = "unknown" if default is None else "known"
        expect(known, equals="known", what="seccomp to the engine")
        if not asked and default is not None:
            profile = default.get("profile", "default")
            expect([profile], without=("unconfined",), what="the engine's own profile")


DENIES = "one that denies something"


def _filtered(process: Process) -> str:
    """Return the mode of seccomp that the kernel holds a process in."""
    if process.seccomp == 2 and process.seccomp_filters == 0:
        return "filter, but none attached"
    return {0: "off", 1: "strict", 2: "filter"}.get(process.seccomp, str(process.seccomp))


def _denies(profile: str) -> bool:
    """Whether a profile of ``--security-opt seccomp=`` denies anything at all."""
    if not profile.startswith("{"):
        return profile != "unconfined"
    try:
        parsed = json.loads(profile)
        actions = [str(parsed["defaultAction"])]
        actions += [str(rule["action"]) for rule in parsed.get("syscalls") or []]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise Unknown("the seccomp profile asked for makes no sense") from None
    return any(action not in ("SCMP_ACT_ALLOW", "SCMP_ACT_LOG") for action in actions)


@control(
    title="The kernel's secrets in /proc and /sys are hidden from containers",
    severity="high",
    fix="Start it without --security-opt systempaths=unconfined, without --privileged, and without "
    "a mount of the host's /proc or /sys, or of the data root, where containers have theirs.",
)
def test_masked_paths(container: Container, files: Files) -> None:
    """Some files in /proc and /sys are not confined by namespaces: memory, keys, timers and
    firmware of the host. Engines mount something empty over each; the container's own list of
    mounts tells whether it is there."""
    present = [file.path for file in files.all(MASKED) if file.exists]
    if not container.running:
        asked = container.asked("MaskedPaths")
        expect_unprivileged(container, "nothing hidden")
        if asked is not None:
            expect(set(MASKED) - set(asked), equals=set(), what="paths left open")
        return
    bare = []
    for path in present:
        mount = covering(container.mounts, path)
        bare += [path] if mount is None or mount.fstype in KERNEL else []
    expect(bare, equals=[], what="paths open to it")
    again = [
        mount
        for mount in container.mounts
        if mount.fstype in KERNEL and not any(within(mount.target, own) for own in OWN)
    ]
    expect(_targets(again), equals=[], what="other mounts of /proc and /sys")
    inner = [mount for mount in container.mounts if mount.fstype in INNER]
    expect(_targets(inner), equals=[], what="file systems with the kernel's inner state")


def _targets(mounts: list[Mount]) -> list[str]:
    """Return where mounts are; of several that show the same place the first."""
    return sorted({mount.place: mount.target for mount in reversed(mounts)}.values())


@control(
    title="Containers cannot write the kernel's settings",
    severity="critical",
    fix="Start it without --security-opt systempaths=unconfined, without --privileged, and without "
    "a mount of the host's /proc or /sys, or of the data root, where containers have theirs.",
)
def test_read_only_paths(container: Container, files: Files) -> None:
    """Who can write /proc/sys or /sys decides which program the host's kernel runs when a
    process crashes, and can stop or crash the host."""
    present = [file.path for file in files.all(READ_ONLY) if file.exists]
    if not container.running:
        asked = container.asked("ReadonlyPaths")
        expect_unprivileged(container, "all writable")
        if asked is not None:
            missing = set(READ_ONLY) - {"/sys"} - set(asked)
            expect(missing, equals=set(), what="paths left writable")
        return
    found = []
    for path in present:
        mount = covering(container.mounts, path)
        found += [path] if mount is not None and not mount.read_only else []
    expect(found, equals=[], what="writable paths")
    again = [
        mount
        for mount in container.mounts
        if mount.fstype in KERNEL and not mount.read_only and mount.target not in (*OWN, *found)
    ]
    expect(_targets(again), equals=[], what="writable mounts of /proc and /sys")
    if container.init.namespace("user") not in container.outside("user"):
        # Docker cannot keep these read-only for remapped users; to them the files are closed.
        return
    groups = [mount for mount in container.mounts if mount.fstype == "cgroup"]
    loose = [mount.target for mount in groups if not mount.read_only]
    expect(loose, equals=[], what="writable cgroup files")
