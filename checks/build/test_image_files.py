"""What lies in images that should not."""

import re

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.image_layers import files_of
from hullcheck.facts.images import Image
from hullcheck.facts.suspects import PROGRAMS, SECOND_ROOT, SETUID
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
    secrets = [
        each for each in files_of(image) if each.kind not in (SETUID, SECOND_ROOT, *PROGRAMS)
    ]
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


@control(
    title="Images of services name a user other than root",
    severity="medium",
    fix="End the Dockerfile with USER 10001:10001 (a number, which nobody can give root's rights "
    "in /etc/passwd), after the last step that needs root.",
)
def test_image_user(image: Image) -> None:
    """What an image says of its user counts on every host on which nobody says otherwise. Without
    it the service is root, one flaw of the kernel or one careless mount away from the host. Bases
    and tools, from which no container was made here, may leave it open."""
    if not image.containers:
        raise NotApplicable("no container was made from it")
    user = str(image.config("User", "")).partition(":")[0].strip()
    root = user in ("", "root") or _is_zero(user)
    expect("root" if root else "another", equals="another", what=f"the user it names ({user!r})")
    if not root and not re.fullmatch("[0-9]+", user):
        others = [str(each) for each in files_of(image)
                  if each.kind == SECOND_ROOT and not each.deleted]  # fmt: skip
        expect(others, equals=[], what="account files in which a name other than root is root")


def _is_zero(user: str) -> bool:
    """Whether an engine takes a text for the number 0, as Go's Atoi does."""
    return re.fullmatch(r"[+-]?0+", user) is not None
