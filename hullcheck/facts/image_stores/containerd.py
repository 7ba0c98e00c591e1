"""Images in the namespaces of containerd's: of pods, of nerdctl, of whoever else uses it.

Its content store (docs/content-flow.md) is a directory of blobs, each named by its digest: indexes,
manifests and configurations are JSON among them. Which names they have stands in a database that
holds more than anybody should copy, so that containerd's own client, ``ctr``, is asked, as root and
only if it is root's program. Docker's namespace is left to Docker where an engine of its runs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.containerd import Containerd
from hullcheck.facts.image_stores.oci import described, document, steps
from hullcheck.facts.image_stores.running import runs
from hullcheck.facts.image_stores.snapshots import MOBY, chains, database_want, directories
from hullcheck.facts.images import Image, Step
from hullcheck.facts.registry import Unseen, fact, get, provide
from hullcheck.facts.texts import END
from hullcheck.transport.backend import session_of
from hullcheck.transport.want import Answer, CannotAnswer, Want, want
from hullcheck.verdict import Object

__all__ = ["ContainerdImages", "blobs_want", "containerd_images", "names_want"]

CONTENT = "io.containerd.content.v1.content/blobs/sha256"
BYTES = 7_000_000
BLOB = 513
"""Blobs of more blocks of 512 bytes are no JSON that tells of an image."""

_TEXTUAL = re.compile(r"[0-9a-f]{64}")
_IMAGE = re.compile(r"(\S.*?)\s+(application/\S+)\s+(sha256:[0-9a-f]{64})(?:\s.*)?")
_USER = re.compile(r"(\S+)\s+(\S.*?)\s+(\S+)\s*")
_SOURCE = "containerd.io/distribution.source."
_OVER = ("No such file or directory", "Not a directory")
_DENIED = re.compile("permission denied", re.IGNORECASE)


def names_want(address: str) -> Want:
    """Return the want for what each namespace calls its images, where it had them from, and who
    uses them. ``= none``: there is no client, or it is not root's; ``= broken``: one question
    had no answer."""
    client = f'timeout 15 "$p" --address {shlex.quote(address)}'
    told = " && ".join(
        f't=$({client} -n "$n" {what}) && echo "= {part}" && {{ printf "%s\\n" "$t"{only}; :; }}'
        for part, what, only in (
            ("images", "images ls", ""),
            ("users", "containers ls", ""),
            ("snapshots", "snapshots ls", " | grep -w Active"),
            ("content", "content ls", " | grep -F distribution.source"),
        )
    )
    return want(
        'p=$(command -v ctr) && [ "$(stat -L -c %u "$p")" = 0 ] || p=; '
        f'if [ -z "$p" ]; then echo "= none"; elif l=$({client} namespaces ls -q); then '
        f'for n in $l; do echo "= namespace $n"; {{ {told}; }} || echo "= broken"; done; '
        f"else echo '= broken'; fi; echo '{END}'",
        seconds=60,
    )


def blobs_want(root: str) -> Want:
    """Return the want for all that is JSON of images in a content store, the newest first."""
    keys = "manifests|layers|rootfs"
    return want(
        f"cd %s && ls -t | head -n 20000 | tr '\\n' '\\0' | xargs -0 sh -c '"
        f'find "$@" -maxdepth 0 -type f -size -{BLOB} -exec grep -alE '
        f'"\\"({keys})\\"[[:space:]]*:" {{}} +\' sh'
        f" | tr '\\n' '\\0' | xargs -0 grep -aH '' /dev/null"
        f" | sed 's|^|/|' | head -c {BYTES}",
        f"{root}/{CONTENT}",
        meaning=(0, 1, 2),
        seconds=60,
    )


@dataclass(frozen=True, slots=True)
class _Names:
    """What a namespace says of its images.

    :param targets: digest -> names. ``users``: container -> the name of its image.
    :param parents: snapshot -> the chain id of what it stands on; a container's has its id.
    :param sources: digest -> the repositories that it was fetched from.
    """

    targets: dict[str, list[str]] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    parents: dict[str, str] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=dict)


class ContainerdImages:
    """The images in one namespace of one containerd."""

    def __init__(
        self, daemon: Containerd, namespace: str, names: _Names | None, why: str = ""
    ) -> None:
        self.host: Host = daemon.host
        self.daemon = daemon
        self.namespace = namespace
        self.names = names
        self.why = why

    @property
    def object(self) -> Object:
        return Object("engine", f"{self.daemon}, {self}")

    def __str__(self) -> str:
        return f"namespace {self.namespace}" if self.namespace else "all namespaces"

    @property
    def root(self) -> str:
        return self.daemon.seen(self.daemon.directories[0])

    @fact
    def images(self) -> list[Image]:
        if self.why and self.names is None and not self.namespace:
            return self._nameless()
        if self.names is None:
            raise Unknown(self.why)
        session_of(self.host).foresee(database_want(self.root))
        blobs = _blobs(self.host, self.root) if self.names.targets else {}
        return [self._image(each, blobs) for each in sorted(self.names.targets)]

    def _nameless(self) -> list[Image]:
        """Return what the content store itself shows to be images."""
        session_of(self.host).foresee(database_want(self.root))
        found = []
        for digest, whole in sorted(_blobs(self.host, self.root).items()):
            if isinstance(whole, dict) and "rootfs" in whole and "layers" not in whole:
                told = described(digest, whole)
                found.append(Image(self.host, self, told, [], unnamed=self.why))
        return found

    def _image(self, target: str, blobs: Mapping[str, Any]) -> Image:
        names = self.names or _Names()
        references = sorted(names.targets[target])
        bare = {
            "Id": target,
            "RepoTags": [each for each in references if "@" not in each and "/" in each],
            "RepoDigests": [f"{each}@{target}" for each in names.sources.get(target, ())],
        }
        try:
            digest, whole = _configuration(target, blobs)
            told = described(digest, whole)
        except Unknown as reason:
            users = [self._user(each) for each, name in names.users.items() if name in references]
            return Image(self.host, self, bare, users, doubt=str(reason))
        top = next(iter(chains(told["RootFS"]["Layers"])[-1:]), "")
        users = [
            self._user(each)
            for each, name in names.users.items()
            if (names.parents[each] == top if each in names.parents else name in references)
        ]
        return Image(self.host, self, {**told, **bare, "Id": digest}, users)

    def _user(self, container: str) -> dict[str, Any]:
        """Return a container in Docker's words: what it was made from stands below its snapshot,
        whatever its image's name stands for now."""
        names = self.names or _Names()
        asked, parent = names.users[container], names.parents.get(container, "")
        return {"Id": container, "Config": {"Image": asked}, "Image": parent}

    @property
    def orphans(self) -> list[Mapping[str, Any]]:
        taken = {each["Id"] for image in self.images for each in image.containers}
        users = self.names.users if self.names else {}
        return [self._user(each) for each in users if each not in taken]

    def history(self, image: Image) -> list[Step]:
        image.config("Labels")
        return steps(image.inspect)

    def directories(self, image: Image) -> list[str]:
        if not self.namespace:
            raise Unknown(f"which layers are its own is not told: {self.why}")
        found = directories(self.host, self.root, self.namespace, image.layers)
        if len(found) != len(image.layers):
            raise Unknown("its layers are not unpacked by the snapshotter overlayfs")
        return found

    def wants(self, image: Image) -> Sequence[Want]:
        return (database_want(self.root),)

    def runs(self, container: Mapping[str, Any]) -> bool:
        return runs(self.host, str(container["Id"]))


def _configuration(target: str, blobs: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """Return digest and text of the configuration that an index or a manifest leads to: of the
    one platform whose configuration is here. :raises Unknown: there is none, or there are two."""
    whole = blobs.get(target)
    if isinstance(whole, Unknown):
        raise Unknown(*whole.args)
    if whole is None:
        raise Unknown("its manifest is not in the store, or was not read")
    below = whole.get("manifests")
    leads = [each for each in below if isinstance(each, dict)] if isinstance(below, list) else []
    manifests = [blobs.get(str(each.get("digest"))) for each in leads] or [whole]
    digests = [_config_digest(each) for each in manifests if isinstance(each, dict)]
    found = [(each, blobs[each]) for each in digests if isinstance(blobs.get(each), dict)]
    found = [each for each in found if (each[1].get("rootfs") or {}) and each[1].get("os")]
    if len(found) != 1:
        raise Unknown(f"{len(found)} configurations of it are in the store, or were read")
    return found[0]


def _config_digest(manifest: Mapping[str, Any]) -> str:
    told = manifest.get("config")
    return str(told.get("digest")) if isinstance(told, dict) else ""


def _blobs(host: Host, root: str) -> dict[str, Any]:
    """Return what is JSON of a content store by its digest."""
    return session_of(host).recall(("blobs", root), lambda: _read(host, root))


def _read(host: Host, root: str) -> dict[str, Any]:
    answer = session_of(host).ask(blobs_want(root))[0]
    text = answer.text
    complaints = answer.evidence.stderr.decode("utf-8", "replace").splitlines()
    hidden = [each for each in complaints if not (text and each.endswith(_OVER))]
    if hidden:
        raise Unknown(f"{root}/{CONTENT} cannot be read: {hidden[0][:200]}; it may need root")
    whole = text if text.endswith("\n") else text[: text.rfind("\n") + 1]
    found: dict[str, Any] = {}
    for name, one in _files(whole).items():
        try:
            found[f"sha256:{name}"] = document(one)
        except Unknown as reason:
            found[f"sha256:{name}"] = reason
    return found


def _files(text: str) -> dict[str, str]:
    lines: dict[str, list[str]] = {}
    for line in text.splitlines():
        name, colon, rest = line.removeprefix("/").partition(":")
        if colon and _TEXTUAL.fullmatch(name):
            lines.setdefault(name, []).append(rest)
    return {name: "\n".join(each) for name, each in lines.items()}


def _named(answer: Answer) -> dict[str, _Names] | None:
    """Return what each namespace says; None if there is no client to ask.

    :raises Unknown: it does not answer.
    """
    *lines, last = answer.text.removesuffix("\n").split("\n")
    if last != END or "= broken" in lines or (answer.complaint and not lines):
        denied = "; needs root" if _DENIED.search(answer.complaint) else ""
        raise Unknown(f"ctr does not tell the images: {answer.complaint}{denied}")
    if lines[:1] == ["= none"]:
        return None
    found: dict[str, _Names] = {}
    names, part = _Names(), ""
    for line in lines:
        if line.startswith("= "):
            part = line
            if line.startswith("= namespace "):
                names = found.setdefault(line.removeprefix("= namespace "), _Names())
        elif part == "= users":
            if (user := _USER.fullmatch(line)) and line.split()[0] != "CONTAINER":
                names.users[user[1]] = user[2]
        elif part == "= snapshots":
            words = line.split()
            names.parents[words[0]] = words[1] if len(words) == 3 else ""
        elif part == "= content":
            names.sources.setdefault(line.split()[0], []).extend(_sources(line))
        elif image := _IMAGE.fullmatch(line):
            names.targets.setdefault(image[3], []).append(image[1])
        elif not line.startswith("REF "):
            raise Unknown(f"ctr tells of an image in a strange way: {line[:80]!r}")
    return found


def _sources(line: str) -> Iterator[str]:
    """Yield the repositories that the labels of a blob name, which fetching it has given it."""
    host = ""
    for each in line.rsplit(maxsplit=1)[-1].split(","):
        name, equals, value = each.partition("=")
        if equals:
            host = name.removeprefix(_SOURCE) if name.startswith(_SOURCE) else ""
        place = value if equals else each
        if host and place:
            yield f"{host}/{place}"


@provide
def containerd_images(host: Host) -> list[ContainerdImages]:
    """The images of each namespace of each containerd. :raises NotApplicable: none runs."""
    daemons: list[Containerd | Unseen] = get(host, "containerd")
    seen = [each for each in daemons if isinstance(each, Containerd)]
    places = [_place(each) for each in seen]
    asked = [names_want(each) for each in places if each.startswith("/")]
    answers = dict(zip(asked, session_of(host).ask(*asked), strict=True))
    try:
        docker = bool(get(host, "docker"))
    except NotApplicable:
        docker = False
    except Unknown:
        docker = True
    found: list[ContainerdImages] = []
    for daemon, place in zip(seen, places, strict=True):
        found += _of(daemon, answers.get(names_want(place)), place, docker)
    return found


def _of(
    daemon: Containerd, answer: Answer | None, place: str, docker: bool
) -> Iterator[ContainerdImages]:
    try:
        if answer is None:
            raise Unknown(place)
        told = _named(answer)
    except (Unknown, CannotAnswer) as reason:
        yield ContainerdImages(daemon, "?", None, str(reason))
        return
    if told is None:
        why = "without ctr nobody tells the names of images in containerd"
        if not (docker and daemon.unused_cri):
            yield ContainerdImages(daemon, "", None, why)
        return
    for namespace in sorted(told):
        if namespace != MOBY or not docker:
            yield ContainerdImages(daemon, namespace, told[namespace])


def _place(daemon: Containerd) -> str:
    """Return where a containerd listens, or why it is not known."""
    try:
        return daemon.seen(daemon.address)
    except Unknown as reason:
        return str(reason)
