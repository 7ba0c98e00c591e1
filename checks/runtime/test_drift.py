"""What a container has or runs that its image did not bring."""

from hullcheck.control import control, expect
from hullcheck.facts.containers import Container
from hullcheck.facts.drift import drift_of, from_writable_mounts, without_file


@control(
    title="No program was added to or changed in a running container",
    severity="high",
    fix="Find out what wrote it (docker diff lists all changes), keep a copy, and start the "
    "container anew from an image that has what it needs, with --read-only.",
)
def test_added_executables(container: Container) -> None:
    """Programs come with the image, which was built, scanned and approved. What appeared or
    changed after that was fetched by hand, by an update at the wrong place, or by an intruder.
    Counted are files with an execute bit and shared libraries, whatever their dates say."""
    expect(drift_of(container).programs, equals=(), what="programs and libraries it has changed")


@control(
    title="Accounts, logins and packages of a running container are as in its image",
    severity="medium",
    fix="Make the change in the image; write what must differ per container to a volume or tmpfs.",
)
def test_changed_settings(container: Container) -> None:
    """A new account or key, a scheduled job, a library that is loaded into every program: with
    these an intruder stays. A changed package database tells of software that nobody scanned."""
    expect(drift_of(container).settings, equals=(), what="settings it has changed")


@control(
    title="Every program that runs in a container is still there as a file",
    severity="high",
    fix="Find out what the process is (its file can be read at /proc/PID/exe as long as it runs); "
    "after an upgrade within the container start it anew from an upgraded image.",
)
def test_deleted_executables(container: Container) -> None:
    """Malware deletes its file after the start, or runs from memory alone, so that no scanner
    finds it. A program replaced while it runs looks the same and is as wrong: it runs with flaws
    that its file no longer has, in a container that should have been replaced."""
    found = [f"{process}: {program}" for process, program in without_file(container)]
    expect(found, equals=[], what="processes whose program is gone")


@control(
    title="No container runs programs that it could have written to a mount",
    severity="medium",
    fix="Put programs into the image; mount volumes with programs read-only, and tmpfs noexec.",
)
def test_program_from_writable_mount(container: Container) -> None:
    """A read-only root protects nothing if what runs lies in a volume or tmpfs beside it. Such a
    program is in no image, shows in no list of changes, and in a volume it outlives the
    container."""
    found = [
        f"{process}: {path} on {mount} ({mount.fstype})"
        for process, path, mount in from_writable_mounts(container)
    ]
    expect(found, equals=[], what="programs on writable mounts")
