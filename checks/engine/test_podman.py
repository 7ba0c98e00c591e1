"""What Podman is set to, where no other engine has the question."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator

from hullcheck.control import Manual, NotApplicable, control, expect
from hullcheck.facts.capabilities import names
from hullcheck.facts.engines import Engine
from hullcheck.facts.host_trees import HOME_DEPTH, PUBLIC, TREES, WHOLES
from hullcheck.facts.mounts import within
from hullcheck.facts.podman import Podman, Quadlet
from hullcheck.facts.podman.subordinate import SubordinateIds
from hullcheck.inventory.policy import Policy

from ..runtime.test_privileges import HARMLESS

SPACES = ("netns", "pidns", "ipcns", "utsns", "cgroupns")
SOCKETS = ("docker.sock", "podman.sock", "containerd.sock", "crio.sock", "podman/podman.sock")
DIGEST = "@sha256:"
SOCKET_MODE = 0o660

LOOSE = {
    "privileged": ("", "true"), "pid": ("host",), "network": ("host",), "net": ("host",),
    "ipc": ("host",), "uts": ("host",), "userns": ("host",), "cgroupns": ("host",),
    "security-opt": (
        "seccomp=unconfined", "apparmor=unconfined", "label=disable", "unmask=ALL", "unmask=all",
        "label:disable", "seccomp:unconfined", "apparmor:unconfined",
    ),
}  # fmt: skip
"""Options of podman-run(1) that hand a container a part of the host."""


@control(
    title="An image's short name leads to one registry",
    severity="medium",
    level=1,
    fix="Name one registry, or none, in unqualified-search-registries of registries.conf, and "
    'write images with their registry; with several, at least short-name-mode = "enforcing".',
)
def test_podman_short_names(engine: Engine) -> None:
    """A name without a registry is looked for in all that are listed. Whoever registers that name
    in the first of them has his image run in the place of yours."""
    registries = engine.short_names
    listed = ", ".join(registries.search)
    expect(len(registries.search), at_most=1, what=f"registries that are searched ({listed})")
    if len(registries.search) > 1:
        expect(registries.mode, equals="enforcing", what="short-name-mode")


@control(
    title="Podman's API is offered on a Unix socket to its owner's group at most",
    severity="critical",
    level=1,
    fix="Let podman.socket listen on %t/podman/podman.sock with SocketMode=0660 or tighter, and "
    "remove tcp:// from podman.service; use ssh:// from other machines.",
)
def test_podman_api_socket(podman: Podman) -> None:
    """The API has no passwords: whoever can connect becomes the user that Podman runs as. What
    systemd is told here is what listens after the next start, whatever listens now."""
    unit = podman.api
    if unit is None:
        raise NotApplicable("no unit of systemd offers Podman's API")
    open_to = [each for each in (*unit.listens, *unit.served) if not _local(each)]
    expect(open_to, equals=[], what=f"where {unit.path} and its service listen for the network")
    if any(map(_local, unit.listens)):
        most = f"{unit.mode & SOCKET_MODE:04o}"
        expect(f"{unit.mode:04o}", equals=most, what=f"SocketMode in {unit.path}")


def _local(address: str) -> bool:
    """Whether an address is a path: a ListenStream= of systemd.socket(5), or a URI of Podman's."""
    return address.startswith(("/", "@", "%", "unix:"))


@control(
    title="Podman's containers are apart from the host unless they ask otherwise",
    severity="high",
    level=1,
    fix="Remove privileged, label = false, an unconfined apparmor_profile and namespaces of the "
    "host from containers.conf, and volumes and devices that not every container needs.",
)
def test_podman_default_isolation(podman: Podman) -> None:
    """What containers.conf gives, every container gets whose author did not think of it: the
    host's namespaces, its directories and devices, or no confinement at all."""
    settings = podman.settings
    given = settings.get("privileged", default=False)
    expect(given.value, equals=False, what=f"privileged ({given.source})")
    label = settings.get("label", default=True)
    expect(label.value, equals=True, what=f"label ({label.source})")
    profile = settings.get("apparmor_profile", "")
    expect([profile.value], without=("unconfined",), what=f"apparmor_profile ({profile.source})")
    for name in SPACES:
        space = settings.get(name, "")
        expect([space.value], without=("host",), what=f"{name} ({space.source})")
    env = settings.get("env_host", default=False)
    expect(env.value, equals=False, what=f"env_host ({env.source})")
    for name in ("volumes", "mounts", "devices"):
        listed = settings.get(name, [])
        shown = [str(each) for each in listed.value]
        expect(shown, equals=[], what=f"{name} of every container ({listed.source})")


@control(
    title="No user's subordinate ids are somebody else's",
    severity="high",
    level=1,
    fix="Give each user a range of its own in /etc/subuid and /etc/subgid, above all accounts "
    "(usermod --add-subuids), then have each run podman system migrate.",
)
def test_podman_subordinate_ids(podman: Podman, subordinate_ids: SubordinateIds) -> None:
    """In a rootless container the ids of such a range are its users. Where two ranges overlap, or
    one covers an account, the container of one user reads and writes the files of the other."""
    if not podman.rootless:
        raise NotApplicable("root's Podman needs none")
    found = subordinate_ids.conflicts(podman.user)
    expect(found, equals=[], what=f"what the ids of {podman.user} are besides")


@control(
    title="No quadlet starts a container with rights over the host",
    severity="high",
    level=1,
    fix="Remove from the .container file what is named: capabilities, PodmanArgs=--privileged, the "
    "host's namespaces, devices, sockets and directories, or SecurityLabelDisable.",
)
def test_podman_quadlet_privileges(quadlet: Quadlet, policy: Policy) -> None:
    """systemd starts at boot what a quadlet says, also where nothing of it runs while somebody
    looks at the containers."""
    given = sorted({*_options(quadlet, policy), *_arguments(quadlet, policy)})
    expect(given, equals=[], what="options that weaken it")
    added = [word for line in quadlet.all("AddCapability") for word in line.split()]
    added += [value for name, value in quadlet.arguments if name == "cap-add"]
    wanted = names(part for word in added for part in word.split(","))
    more = wanted - HARMLESS - names(policy.capabilities)
    expect(more, equals=frozenset(), what="capabilities beyond the harmless ones")
    paths = sorted(each for each in map(_normal, _sources(quadlet)) if _sensitive(each, policy))
    expect(paths, equals=[], what="sensitive places of the host")


def _options(quadlet: Quadlet, policy: Policy) -> Iterator[str]:
    for key in ("SecurityLabelDisable", "SecurityLabelNested"):
        if quadlet.on(key):
            yield f"{key}={quadlet.last(key)}"
    for key, bad in (
        ("Network", "host"), ("SeccompProfile", "unconfined"), ("AppArmor", "unconfined"),
        ("Unmask", "all"), ("UserNS", "host"), ("SecurityLabelType", "spc_t"),
    ):  # fmt: skip
        yield from (f"{key}={each}" for each in quadlet.all(key) if each.lower() == bad)
    for each in quadlet.all("AddDevice"):
        if each.lstrip("-").partition(":")[0] not in policy.devices:
            yield f"AddDevice={each}"


def _arguments(quadlet: Quadlet, policy: Policy) -> Iterator[str]:
    for name, value in quadlet.arguments:
        known = LOOSE.get(name, ())
        flag = name == "privileged" and value.lower() not in ("false", "0")
        device = name == "device" and value.partition(":")[0] not in policy.devices
        if flag or value in known or device:
            yield f"PodmanArgs=--{name}" + (f" {value}" if value and not flag else "")


def _sources(quadlet: Quadlet) -> Iterator[str]:
    """Yield the host's side of what a quadlet mounts, its specifiers replaced."""
    own = quadlet.owner == "root"
    specifiers = {"%t": "/run" if own else "/run/user/1000", "%h": "/root" if own else "/home/user"}
    given = [value for name, value in quadlet.arguments if name in ("v", "volume")]
    binds = [each.partition(":")[0] for each in (*quadlet.all("Volume"), *given)]
    given = [value for name, value in quadlet.arguments if name == "mount"]
    for each in (*quadlet.all("Mount"), *given):
        fields = dict(part.partition("=")[::2] for part in each.split(","))
        if fields.get("type") == "bind":
            binds.append(fields.get("source") or fields.get("src") or "")
    for source in binds:
        found = next((key for key in specifiers if source.startswith(key)), "")
        path = specifiers[found] + source[len(found) :] if found else source
        if path.startswith("/"):
            yield path


def _normal(path: str) -> str:
    """Return a path without .. and repeated slashes."""
    return posixpath.normpath("/" + path.lstrip("/"))


def _sensitive(path: str, policy: Policy) -> bool:
    if any(within(path, each.rstrip("/") or "/") for each in policy.host_paths):
        return False
    if path.endswith(SOCKETS):
        return True
    if any(within(path, each) for each in PUBLIC):
        return False
    hidden = within(path, "/home") and ("/." in path or path.count("/") == HOME_DEPTH)
    trees = any(within(path, each) or within(each, path) for each in TREES)
    return trees or hidden or any(within(each, path) for each in WHOLES)


@control(
    title="Quadlets name their images by digest",
    severity="low",
    level=2,
    fix="Write Image=REGISTRY/NAME@sha256:… in the .container file, and change it when you update.",
)
def test_podman_quadlet_image(quadlet: Quadlet) -> None:
    """A tag is what its registry says today. With a digest, what starts after the next pull is
    what was tested."""
    image = quadlet.image
    if not image or image.endswith((".image", ".build")) or image.startswith("%"):
        raise Manual(f"which image it runs: Image={image or '(none)'}", image)
    pinned = "by digest" if DIGEST in image else "by tag"
    expect(pinned, equals="by digest", what=f"how {image} is named")
