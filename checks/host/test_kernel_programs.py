"""What can be loaded into the kernel, and what the kernel starts or keeps by itself."""

from __future__ import annotations

from collections.abc import Iterable

from hullcheck.control import Manual, control, expect
from hullcheck.facts.binfmt import Binfmt
from hullcheck.facts.core_dumps import UNLIMITED, CoreDumps
from hullcheck.facts.files import Files
from hullcheck.facts.modules import (
    FILE_SYSTEMS,
    PROTOCOLS,
    SIGNED_ONLY,
    USB_STORAGE,
    Exposure,
    Modules,
)
from hullcheck.facts.processes import Processes
from hullcheck.facts.role import BUILD_HOST, KUBERNETES_NODE, Role
from hullcheck.inventory.policy import Policy

LOCK = (
    "Write install NAME /bin/false for each in a file in /etc/modprobe.d (blacklist alone is not "
    "enough), and run modprobe -r NAME; what is needed goes into kernel_modules of the policy."
)

SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib/", "/lib64/", "/opt/", "/nix/store/")
"""Where interpreters are installed; WSL's own is /init."""

CREDENTIALS = "C"

REFUSERS = ("/bin/false", "/usr/bin/false", "/bin/true", "/usr/bin/true")
KEEPERS = ("apport", "abrt-hook-ccpp", "core_pattern")


@control(
    title="The kernel loads only modules that are signed",
    severity="medium",
    level=2,
    fix="Boot with module.sig_enforce=1 or with Secure Boot, sign modules of your own, or set "
    "kernel.modules_disabled = 1 once all that is needed is loaded.",
)
def test_module_signatures(modules: Modules) -> None:
    """A module is code in the kernel, beneath all containers: it hides processes, and switches
    off every module that confines. Root, and a container with CAP_SYS_MODULE, loads any file as
    one, unless the kernel wants a signature that it knows."""
    kept = modules.signed_only or "nothing"
    expect(kept, one_of=SIGNED_ONLY, what="what keeps unsigned modules out")


@control(
    title="Network protocols that hardly anybody uses cannot be loaded",
    severity="medium",
    fix=LOCK,
)
def test_rare_protocols(modules: Modules, policy: Policy, role: Role) -> None:
    """Any process, in a container too, loads DCCP, SCTP, RDS or TIPC into the host's kernel by
    opening a socket: the usual seccomp profiles allow it. Little used and little tested, each of
    them has let ordinary users become root. Pods may speak SCTP: it is left to them."""
    what = "protocols that the kernel has or loads"
    found = _exposed(modules, PROTOCOLS, policy)
    sctp = found.pop("sctp", None)
    _state(found, what)
    if sctp and KUBERNETES_NODE not in role:
        found["sctp"] = sctp
        _state({"sctp": sctp}, what)
    _ask(found)


@control(
    title="File systems that hardly anybody uses cannot be loaded",
    severity="low",
    level=2,
    fix=LOCK,
)
def test_rare_file_systems(modules: Modules, policy: Policy) -> None:
    """A file system's code reads what it is given. Who can have an image mounted, by a stick, a
    helper of the desktop or a container with CAP_SYS_ADMIN, uses errors in the ones that nobody
    looks after. Azure needs udf to set a machine up: say so in the policy."""
    found = _exposed(modules, FILE_SYSTEMS, policy)
    _judge(found, "file systems that the kernel has or loads")


@control(
    title="USB storage cannot be attached",
    severity="low",
    level=2,
    fix=LOCK,
)
def test_usb_storage(modules: Modules, policy: Policy) -> None:
    """A stick in a server's port carries data off or programs in, within the minute that somebody
    is in front of it, and leaves little behind."""
    _judge(_exposed(modules, [USB_STORAGE], policy), "USB storage in the kernel")


def _exposed(modules: Modules, names: Iterable[str], policy: Policy) -> dict[str, Exposure]:
    allowed = {each.replace("-", "_") for each in policy.kernel_modules}
    found = ((name, modules.exposure(name)) for name in names if name not in allowed)
    return {name: how for name, how in found if how}


def _judge(found: dict[str, Exposure], what: str) -> None:
    _state(found, what)
    _ask(found)


def _state(found: dict[str, Exposure], what: str) -> None:
    sure = [f"{name} ({each.how})" for name, each in found.items() if each.sure]
    expect(sure, equals=[], what=what)


def _ask(found: dict[str, Exposure]) -> None:
    """:raises Manual: what becomes of a module is up to a command that is not known."""
    unclear = {name: each.how for name, each in found.items() if not each.sure}
    if unclear:
        raise Manual("see whether these commands of modprobe.d load the module", unclear)


@control(
    title="Programs that the kernel starts for foreign files are the host's own",
    severity="high",
    fix="Find out who registered it, and remove it: echo -1 as root into its file in "
    "/proc/sys/fs/binfmt_misc, and its file in /etc/binfmt.d; register qemu without flag C.",
)
def test_binfmt_handlers(binfmt: Binfmt, files: Files, role: Role) -> None:
    """binfmt_misc starts a program of the host for files that begin in some way, in every
    container. With flag C it runs with the rights of the file, so that a handler for setuid
    programs makes its owner root: a back door that no list of files shows. Build hosts need that
    flag for sudo in images of other machines."""
    handlers = binfmt.handlers
    places = files.all(each.interpreter for each in handlers if each.interpreter.startswith("/"))
    by_path = {each.path: each for each in places}
    strange: list[str] = []
    for each in handlers:
        place = by_path.get(each.interpreter)
        if place is None or not place.exists:
            strange.append(f"{each}: no such program on the host")
            continue
        if not place.resolved.startswith(SYSTEM) and place.resolved != "/init":
            strange.append(f"{each}: in no folder of the system's")
        strange += [f"{each}: {way}" for way in place.writable_by_others()]
    expect(strange, equals=[], what="handlers that are not the host's own")
    trusted = [str(each) for each in handlers if CREDENTIALS in each.flags]
    if trusted and BUILD_HOST not in role:
        expect(trusted, equals=[], what="handlers that run with the rights of the file (flag C)")


@control(
    title="What a program had in memory is not kept when it crashes",
    severity="low",
    level=2,
    fix="Set kernel.core_pattern = |/bin/false in a file in /etc/sysctl.d; where systemd-coredump "
    "handles crashes, Storage=none in /etc/systemd/coredump.conf.d/none.conf.",
)
def test_core_dumps(core_dumps: CoreDumps, processes: Processes) -> None:
    """A core file holds what the program held: keys, passwords, customers' data, in the clear, on
    the host's disk or in a container's layers, until somebody deletes it. Engines usually run
    containers without any limit of core files. Without them, crashes are harder to explain."""
    pattern = core_dumps.pattern
    if pattern.startswith("|"):
        _handled((pattern[1:].split() or [""])[0], core_dumps)
    elif pattern not in ("", "/dev/null"):
        names = [str(processes.get(pid) or pid) for pid in core_dumps.leaving]
        expect(names, equals=[], what=f"what leaves a core file ({pattern})")
        _limited(core_dumps)


def _handled(program: str, core_dumps: CoreDumps) -> None:
    """Judge a program that the kernel gives the memory to."""
    if program in REFUSERS:
        expect(program, one_of=REFUSERS, what="what the kernel gives the memory to")
        return
    name = program.rpartition("/")[2]
    if name == "systemd-coredump":
        expect(core_dumps.storage, equals="none", what="Storage of systemd-coredump")
    elif name in KEEPERS:
        expect(program, one_of=REFUSERS, what="what the kernel gives the memory to")
    else:
        raise Manual(f"see whether {program} keeps what it is given", program)


def _limited(core_dumps: CoreDumps) -> None:
    """Judge what logins are limited to; ``*`` speaks of all users but root (limits.conf(5))."""
    hard = {each.domain: each.kib for each in core_dumps.limits if each.kind in ("hard", "-")}
    said = {0: "0", UNLIMITED: "unlimited"}
    everyone = hard.pop("*", None)
    observed = "not set" if everyone is None else said.get(everyone, str(everyone))
    expect(observed, equals="0", what="the hard limit of core files for all users (limits.conf)")
    others = sorted(domain for domain, kib in hard.items() if kib)
    expect(others, equals=[], what="users and groups with a higher one")
