"""What lies in images that should not."""

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.image_layers import files_of
from hullcheck.facts.images import Image
from hullcheck.facts.suspects import PROGRAMS, SETUID
from hullcheck.inventory.policy import Policy


@control(
    title="Images hold no setuid programs",
    severity="medium",
    level=2,
    fix="End the Dockerfile with RUN find / -xdev -perm /6000 -type f -exec chmod a-s {} +, or "
    "build on an image without them; list what an application needs in image_setuid_allowed.",
)
def test_image_setuid(image: Image, policy: Policy) -> None:
    """A program that is setuid or setgid gives its owner's rights to whoever runs it: a flaw in
    one is the usual way from an application's user to root. In a container nobody logs in, so
    that even su, mount and passwd, which every distribution brings, serve nobody but intruders.
    What a later layer has deleted or made harmless does not count."""
    allowed = set(policy.image_setuid_allowed)
    found = [
        f"{each} runs as {each.gains}"
        for each in files_of(image)
        if each.kind == SETUID and not each.deleted
        if not allowed & {each.path, each.path.rpartition("/")[2]}
    ]
    expect(sorted(found), equals=[], what="setuid and setgid programs")


@control(
    title="Images hold no keys, passwords or tokens",
    severity="high",
    fix="Build the image anew without the file, give secrets at run time, and replace what was in "
    "it: whoever could pull the image has it. In a build, use RUN --mount=type=secret.",
)
def test_image_secrets(image: Image) -> None:
    """An image is copied to every registry and host, and its layers can be unpacked by anybody
    who pulls it. A file that a later layer deletes is still in the layer that brought it. Only
    paths and sizes leave the host, never what is in a file."""
    secrets = [each for each in files_of(image) if each.kind not in (SETUID, *PROGRAMS)]
    gone = ", deleted or replaced later"
    found = [
        f"{each} ({each.kind}, {each.size} bytes{gone if each.deleted else ''})" for each in secrets
    ]
    expect(sorted(found), equals=[], what="files that hold secrets")


@control(
    title="Images that run hold no package managers, compilers or servers to log in to",
    severity="low",
    fix="Build in one stage and copy the result to a minimal image; list what an image is to have, "
    "by name or kind, in image_programs_allowed.",
)
def test_image_packages(image: Image, policy: Policy) -> None:
    """What an application does not need is there for whoever breaks into it: to fetch tools, to
    build them, to look at other processes, to open a way back in. Programs are told by name;
    those that busybox is under another name are not counted one by one."""
    if not image.running:
        raise NotApplicable("no container of it runs")
    allowed = set(policy.image_programs_allowed)
    found = [
        f"{each} ({each.kind})"
        for each in files_of(image)
        if each.kind in PROGRAMS and not each.deleted
        if not allowed & {each.kind, each.path, each.path.rpartition("/")[2]}
    ]
    expect(sorted(found), equals=[], what="programs that serve an intruder")
