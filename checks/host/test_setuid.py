"""Programs that give those who run them the rights of others."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from testinfra.host import Host

from hullcheck.control import Manual, control, expect
from hullcheck.facts.file_owners import Owners, owners_of
from hullcheck.facts.known_privileged import CAPABLE, GENERAL, HARMLESS, in_system, usual
from hullcheck.facts.setuid import Found, Walk, names_of
from hullcheck.inventory.policy import Policy

FINE, DOUBTFUL, BAD = "fine", "doubtful", "bad"
UNOWNED, OTHERWISE = "of no package", "which its package has without"


def _allowed(path: str, policy: Policy) -> bool:
    """Whether the site allows a program: by path, by a folder, or by name where users put none."""
    allowed = policy.setuid_allowed or ()
    named = in_system(path) or path.startswith(("/usr/local/", "/opt/"))
    folders = tuple(each for each in allowed if each.endswith("/") and each != "/")
    return path in allowed or path.startswith(folders) or (
        named and posixpath.basename(path) in allowed
    )  # fmt: skip


def _judged(path: str, packaged: bool | None, known: bool, owners: Owners) -> tuple[str, str]:
    """Return what to think of a program, and why.

    :param packaged: whether its package has it so; None if that is not told.
    :param known: whether distributions have a program of its name so.
    """
    owned = owners.get(path)
    by_name = known and in_system(path)
    if owned is None:
        return (FINE, "") if by_name and not owners.managers else (BAD, UNOWNED)
    if packaged is not None:
        return (FINE, "") if packaged else (BAD, OTHERWISE)
    if by_name:
        return FINE, ""
    general = GENERAL.fullmatch(posixpath.basename(path))
    return (BAD, "which no package has so") if general else (DOUBTFUL, "of a package")


def _tell(about: str, told: Iterable[tuple[str, str, str]], policy: Policy) -> None:
    """State what was found: rank, program, and why."""
    ranked = list(told)
    bad = [f"{what}, {why}" for rank, what, why in ranked if rank == BAD]
    doubtful = [what for rank, what, _ in ranked if rank == DOUBTFUL]
    if policy.setuid_allowed is not None:
        bad, doubtful = [*bad, *doubtful], []
    expect(sorted(bad), equals=[], what=about)
    if doubtful and not bad:
        raise Manual(f"whether these programs of packages need it: {', '.join(doubtful)}", doubtful)


def _describe(program: Found) -> str:
    bits = [name for name, has in (("setuid", program.setuid), ("setgid", program.setgid)) if has]
    whose = f"uid {program.uid}" if program.setuid else f"gid {program.gid}"
    return f"{program.path} ({' '.join(bits)}, {'root' if program.uid == 0 else whose})"


@control(
    title="No unknown program runs with the rights of its owner or group",
    severity="high",
    fix="Find out where each came from; then chmod u-s,g-s FILE or remove it. Name what the site "
    "needs in setuid_allowed of the policy, and mount what users write to with nosuid.",
)
def test_setuid_programs(privileged_files: Walk, policy: Policy, host: Host) -> None:
    """A setuid program gives the rights of its owner to whoever runs it. A copy of a shell with
    that bit, in a place where nobody looks, is how an intruder keeps root. All file systems of the
    host are walked, but for directories that only root may enter; what no package has so, and
    distributions do not ship so, is told."""
    programs = [each for each in privileged_files.programs if not _allowed(each.path, policy)]
    owners = owners_of(host, privileged_files.counted)
    told = []
    for each in programs:
        owned = owners.get(each.path)
        bits = each.mode & 0o6000
        packaged = None if owned is None or owned.mode is None else not bits & ~owned.mode
        known = usual(each.path, setuid=each.setuid, setgid=each.setgid)
        rank, why = _judged(each.path, packaged, known, owners)
        told.append((rank, _describe(each), why))
    _tell("setuid and setgid programs", told, policy)
    privileged_files.need_whole()


@control(
    title="No unknown file gives capabilities to who runs it",
    severity="high",
    fix="setcap -r FILE, or name the file in setuid_allowed of the policy; getcap -r / lists all.",
)
def test_file_capabilities(privileged_files: Walk, policy: Policy, host: Host) -> None:
    """Capabilities of a file are parts of root's power that it gives to whoever runs it, as
    setuid does, and ls does not show them. An interpreter with cap_setuid is a root shell. Those
    that only open low ports or lock memory do not count, nor those of a package."""
    capable = {
        path: names_of(text) - HARMLESS
        for path, text in privileged_files.privileged
        if not _allowed(path, policy)
    }
    capable = {path: names for path, names in capable.items() if names}
    owners = owners_of(host, privileged_files.counted)
    told = []
    for path, names in capable.items():
        owned = owners.get(path)
        unsaid = owned is None or owned.capabilities is None
        packaged = None if unsaid or owned is None else names <= (owned.capabilities or set())
        known = names <= CAPABLE.get(posixpath.basename(path), set())
        if known and in_system(path) and owners.managers == {"apk"}:
            continue  # apk tells neither of capabilities nor whose a plain file is.
        rank, why = _judged(path, packaged, known, owners)
        told.append((rank, f"{path} ({', '.join(sorted(names))})", why))
    _tell("files with capabilities", told, policy)
    privileged_files.need_whole(capabilities=True)


@control(
    title="There are no device files outside /dev",
    severity="high",
    fix="Remove them, and mount with nodev what users write to; a chroot needs null, zero, full, "
    "random, urandom and tty alone.",
)
def test_stray_devices(privileged_files: Walk) -> None:
    """A device file is the device, wherever it lies and whatever it is called: one of the disk,
    open to a user, is all data of the host and of all containers, past every permission of
    theirs. Intruders leave one to come back; on a mount with nodev it does nothing. One that only
    root can open, as Docker keeps of its disk, opens nothing."""
    found = [
        f"{each.path} ({'block' if each.block else 'character'} device "
        f"{each.numbers[0]}:{each.numbers[1]}, mode {each.mode & 0o7777:04o})"
        for each in privileged_files.devices
        if (each.block or each.numbers not in HOLLOW) and (each.uid or each.mode & 0o066)
    ]
    expect(sorted(found), equals=[], what="device files outside /dev")
    privileged_files.need_whole()


HOLLOW = {(0, 0), (1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2)}
"""null, zero, full, random, urandom, tty, console, ptmx (admin-guide/devices), and the whiteout of
overlayfs, which is no device."""
