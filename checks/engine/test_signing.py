"""What the signatures of images are verified with."""

from __future__ import annotations

from hullcheck.control import Manual, NotApplicable, control, expect
from hullcheck.facts.containerd import IMAGES, Containerd
from hullcheck.facts.engines import Engine
from hullcheck.facts.files import File, Files
from hullcheck.facts.package_files import PackageFiles
from hullcheck.facts.signing import lookasides

VERIFIERS = "io.containerd.image-verifier.v1.bindir"
BIN_DIR = "/opt/containerd/image-verifier/bin"
MOST = 10


@control(
    title="The keys that images are verified with are there and only root's to change",
    severity="high",
    level=1,
    fix="Put the keys and authorities that policy.json names where only root writes; write "
    "use-sigstore-attachments: true for each registry with sigstoreSigned, and https:// for each "
    "lookaside, into registries.d.",
)
def test_signature_keys(engine: Engine, files: Files, package_files: PackageFiles) -> None:
    """Who can write the key signs what he likes. A key that is not there, or signatures that are
    looked for in the wrong place, stop every pull, until somebody in a hurry lets everything
    pass; a store of signatures behind plain HTTP can hide the newest."""
    policy = engine.signatures
    if not policy.keys and not policy.attached:
        raise NotApplicable(f"{policy.path} names no key")
    for path, file in zip(policy.keys, files.all(map(engine.placed, policy.keys)), strict=True):
        there = "there" if file.exists and file.kind == "file" else "not there"
        if expect(there, equals="there", what=path):
            ways = file.writable_by_others(engine.trusted)
            expect(ways, equals=[], what=f"who else may write {path}")
    places = lookasides(package_files, engine.home)
    blind = [scope for scope in policy.attached if not places.looks_beside(scope)]
    expect(blind, equals=[], what="scopes whose sigstore signatures are not looked for")
    expect(list(places.plain), equals=[], what="signatures that come by plain HTTP")


@control(
    title="What verifies images for containerd is only root's to change",
    severity="high",
    level=2,
    fix=f"Let only root write the programs in {BIN_DIR}, or in bin_dir of "
    f"[plugins.'{VERIFIERS}'] in containerd's config.toml, and the folders above them.",
)
def test_containerd_image_verifier(containerd: Containerd, files: Files) -> None:
    """A verifier on the node sees every pull, also for static pods and crictl, which pass an
    admission controller by. Its program runs as root and decides what else runs. Without one, or
    with a release before 2.1, which asks it for no pod, something else has to look at signatures;
    an empty folder verifies nothing."""
    containerd.need_cri()
    most = containerd.told(MOST, "plugins", VERIFIERS, "max_verifiers").value
    around = containerd.cri(False, "use_local_image_pull", part=IMAGES).value
    folder = str(containerd.told(BIN_DIR, "plugins", VERIFIERS, "bin_dir").value)
    place = containerd.placed(folder)
    names = [each for each in files.list(place) if each != place]
    programs = [each for each in files.all(names) if each.exists and each.kind == "file"]
    if not programs or most == 0 or around:
        raise Manual("see that an admission controller verifies images: containerd does not",
                     {"bin_dir": folder})  # fmt: skip
    expect(sorted(_loose(programs)), equals=[], what="who else may change what verifies images")


def _loose(programs: list[File]) -> set[str]:
    found: set[str] = set()
    for each in programs:
        found.update(each.writable_by_others())
    return found
