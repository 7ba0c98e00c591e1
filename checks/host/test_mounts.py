"""How directories that users write to are mounted, now and at the next boot."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import dataclass

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.boot_mounts import FLAGS, BootMounts
from hullcheck.facts.data_roots import DataRoots
from hullcheck.facts.files import Files
from hullcheck.facts.mounts import Mount, MountTable, covering, within
from hullcheck.facts.setuid import remote

SHM = "/".join(("", "dev", "shm"))
TEMPORARY = (*(f"/{each}" for each in ("tmp", "var/tmp")), SHM)
PUBLIC = (*TEMPORARY, "/home", "/var/log", "/var/log/audit", "/var")
"""Directories that users, or what they can make write, fill."""

SCRATCH = (*TEMPORARY, "/var/log", "/var/log/audit")
"""Those of them that no program has to be run from."""

SEPARATE = (*TEMPORARY[:2], "/var", "/var/log", "/var/log/audit", "/home")
KEPT_ELSEWHERE = frozenset({"zfs", "autofs"})
"""File systems whose options are kept in their own places, not in fstab or a unit."""


@dataclass(frozen=True, slots=True)
class Place:
    """A directory, and the mount that it is on.

    :param own: whether the mount is its own.
    """

    path: str
    mount: Mount
    own: bool

    def missing(self, *flags: str) -> list[str]:
        return [flag for flag in flags if flag not in self.mount.options]


def _places(paths: tuple[str, ...], files: Files, mounts: MountTable) -> Iterator[Place]:
    """Yield those of some directories that exist. :raises Unknown: one cannot be seen."""
    for path, file in zip(paths, files.all(paths), strict=True):
        if file.exists:
            mount = covering(mounts, file.resolved)
            if mount is None:
                raise Unknown(f"what {path} is on is not among the mounts")
            yield Place(path, mount, mount.target == file.resolved)


def _holds(mount: Mount, roots: list[str], mounts: MountTable) -> bool:
    """Whether a data root is on a mount, and so whatever containers need."""
    return any(covering(mounts, each) is mount for each in roots)


@control(
    title="Mounts that users write to take no setuid programs and no devices",
    severity="medium",
    fix="Add nosuid,nodev to the options in /etc/fstab or in a drop-in of the mount unit "
    "(systemctl edit tmp.mount), and mount -o remount,nosuid,nodev DIRECTORY.",
)
def test_public_mounts(files: Files, mounts: MountTable, data_roots: DataRoots) -> None:
    """With nosuid, a setuid program that an intruder leaves in /tmp or in a home gives nothing;
    with nodev, nor does a device file. Judged are the mounts as they are now, of /tmp, /var/tmp,
    /dev/shm, /home, /var and /var/log and what is mounted below. A mount that an engine's data
    root is on needs both for what images hold, and is left out; one on the root file system is
    another control's matter."""
    roots = data_roots.paths(rootful=True)
    found: dict[str, list[str]] = {}
    judged = 0
    for place in _places(PUBLIC, files, mounts):
        if place.mount.target != "/" and not _holds(place.mount, roots, mounts):
            judged += 1
            found[place.mount.target] = place.missing("nosuid", "nodev")
    for mount in mounts.by_target.values():
        inside = any(within(mount.target, each) and mount.target != each for each in PUBLIC[:4])
        if inside and not any(within(mount.target, each) for each in data_roots.paths()):
            found[mount.target] = [f for f in ("nosuid", "nodev") if f not in mount.options]
    if not judged:
        raise NotApplicable("none of these directories is a mount")
    bad = sorted(f"{path} lacks {' and '.join(lack)}" for path, lack in found.items() if lack)
    if bad and data_roots.doubt and any(each.startswith("/var ") for each in bad):
        raise Unknown(f"cannot tell whether containers' files are on /var: {data_roots.doubt}")
    expect(bad, equals=[], what="mounts")


@control(
    title="No program can be run from temporary directories and logs",
    severity="low",
    level=2,
    fix="Add noexec to the options of /tmp, /var/tmp, /dev/shm, /var/log and /var/log/audit in "
    "/etc/fstab or their mount units, and mount -o remount,noexec each.",
)
def test_noexec_mounts(files: Files, mounts: MountTable, data_roots: DataRoots) -> None:
    """What comes in through a hole is mostly written to /tmp or /dev/shm, where everybody may
    write, and run there. noexec does not stop scripts, but most ready-made programs. Some
    installers and databases need it otherwise. A mount that containers' files are on is left
    out: they are run from there."""
    roots = data_roots.paths()
    judged = [
        each for each in _places(SCRATCH, files, mounts)
        if each.own and each.mount.target != "/" and not _holds(each.mount, roots, mounts)
    ]  # fmt: skip
    if not judged:
        raise NotApplicable("none of these directories is a mount")
    expect([each.path for each in judged if each.missing("noexec")], equals=[],
           what="mounts that programs can be run from")  # fmt: skip


@control(
    title="What users and services fill is apart from the root file system",
    severity="low",
    level=2,
    fix="Give /tmp (a tmpfs will do: systemctl enable tmp.mount), /var, /var/tmp, /var/log, "
    "/var/log/audit and /home file systems of their own in /etc/fstab.",
)
def test_separate_partitions(files: Files, mounts: MountTable) -> None:
    """Who fills the root file system stops the host: nothing can log in, and no audit record is
    written. On a file system of its own, a directory fills itself alone, and takes the options
    that keep setuid programs and devices out."""
    root = covering(mounts, "/")
    if root is None:
        raise Unknown("the root file system is not among the mounts")
    shared = [each.path for each in _places(SEPARATE, files, mounts)
              if each.mount.device == root.device]  # fmt: skip
    expect(shared, equals=[], what="directories on the root file system")


@control(
    title="What is mounted now is mounted likewise after the next boot",
    severity="medium",
    fix="Write the options into /etc/fstab or the mount unit as they should be, then systemctl "
    "daemon-reload and mount -o remount DIRECTORY, so that both agree.",
)
def test_mounts_at_boot(
    files: Files, mounts: MountTable, boot_mounts: BootMounts, data_roots: DataRoots
) -> None:
    """An option that was set by hand is gone after a reboot, and one that was only written down
    protects nothing yet. A data root whose mount is written nowhere comes back as an empty
    directory on the root file system. Compared are nosuid, nodev and noexec of the directories
    that users write to, and whether data roots are mounted at all."""
    if not boot_mounts.systemd and not boot_mounts.found:
        raise Unknown(
            "how this system mounts at boot cannot be told: it has neither systemd nor fstab"
        )
    places = {each.path: each for each in _places(PUBLIC, files, mounts)}
    found = []
    for path, place in places.items():
        target = files.get(path).resolved
        found += _differences(target, place.mount if place.own else None, boot_mounts)
    for root in data_roots.paths():
        mount = covering(mounts, root)
        if mount is not None and _lost(mount, mounts, boot_mounts):
            found.append(f"{mount.target} is mounted, and nothing will mount it at the next boot")
    expect(sorted(set(found)), equals=[], what="differences")
    if data_roots.doubt:
        raise Unknown(f"cannot tell all data roots: {data_roots.doubt}")


def _lost(mount: Mount, mounts: MountTable, boot: BootMounts) -> bool:
    """Whether a disk is mounted that will not be. An engine binds its data root onto itself, which
    is no disk."""
    above = covering(mounts, posixpath.dirname(mount.target))
    own = mount.target != "/" and above is not None and mount.device != above.device
    return own and mount.fstype not in KEPT_ELSEWHERE and not boot.get(mount.target)


def _differences(target: str, mount: Mount | None, boot: BootMounts) -> Iterator[str]:
    """Yield how a directory's mount differs from what is written of it."""
    written = boot.flags(target)
    if mount is not None and mount.fstype in KEPT_ELSEWHERE:
        return
    if mount is None:
        if written is not None:
            yield f"{target} is to be a mount ({boot.get(target)[0].source}), and is none"
        return
    if written is None and target == SHM:
        # systemd mounts it by itself (mount-setup.c); other systems in ways of their own.
        if not boot.systemd:
            return
        written = frozenset({"nosuid", "nodev"})
    if written is None:
        yield f"{target} is mounted, and nothing will mount it at the next boot"
        return
    for flag in FLAGS:
        now = flag in mount.options
        if now != (flag in written):
            yield f"{target} {'has' if now else 'lacks'} {flag} until the next boot only"


@control(
    title="File systems of other machines bring no setuid programs and no devices",
    severity="high",
    fix="Add nosuid,nodev to their options in /etc/fstab, the mount unit or the automounter's map; "
    "for sshfs and other FUSE mounts likewise.",
)
def test_remote_mounts(mounts: MountTable, data_roots: DataRoots) -> None:
    """Whoever has root on a file server, or can answer in its place, puts setuid programs and
    device files on what it serves: without these options, they give root on every client. What
    a kubelet or an engine mounts for containers lies in its data root, and is left out."""
    roots = data_roots.paths()
    found = [each for each in mounts.by_target.values() if remote(each)]
    found = [each for each in found if not any(within(each.target, root) for root in roots)]
    if not found:
        raise NotApplicable("no file system of another machine is mounted")
    bad = {
        each.target: [flag for flag in ("nosuid", "nodev") if flag not in each.options]
        for each in found
    }
    told = {path: f"{path} lacks {' and '.join(lack)}" for path, lack in bad.items() if lack}
    if told and data_roots.doubt and all(path.startswith("/var/lib/") for path in told):
        raise Unknown(f"cannot tell whether it is a container's: {data_roots.doubt}")
    expect(sorted(told.values()), equals=[], what="mounts of other machines")
