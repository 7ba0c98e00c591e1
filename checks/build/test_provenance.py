"""What is known of how images that run were made, and of what."""

from datetime import datetime

from hullcheck.control import Manual, NotApplicable, control, expect
from hullcheck.facts.images import Image
from hullcheck.facts.scans.about import provenances, sboms
from hullcheck.facts.scans.settings import Setting
from hullcheck.inventory.policy import Policy

from .evidence import SLACK, not_found, writers


@control(
    title="Images that run have a bill of materials",
    severity="low",
    level=2,
    fix="Write one for the image's digest when it is built (syft IMAGE@DIGEST -o spdx-json, trivy "
    "image --format cyclonedx, docker buildx build --sbom=true) into a folder of scan_reports.",
)
def test_sbom(image: Image, policy: Policy) -> None:
    """When the next library turns out to be broken, the first question is where it is. A list of
    what an image is made of answers that in a minute for the whole fleet, even for images that
    nobody can pull any more. It counts for the image whose digest it names, and if it lists
    anything at all."""
    if policy.sboms is False:
        raise NotApplicable("the site does not ask for bills of materials")
    found = sboms(image, policy.scan_reports or (), writers(policy))
    if not found.good:
        not_found(found, bool(policy.sboms), "bill of materials")
        return
    full = [each for each in found.good if each.what.lists]
    shown = (full or found.good)[0]
    listed = "something" if full else "nothing"
    expect(listed, equals="something", what=f"what {shown} ({shown.what.kind}) lists")


@control(
    title="What runs was built by a builder that the site knows",
    severity="medium",
    level=2,
    fix="Let the builder attest what it builds (docker buildx build --provenance=mode=max, SLSA's "
    "generators), keep that below scan_reports, and name its id in the policy's builders.",
)
def test_provenance(image: Image, policy: Policy, started: datetime) -> None:
    """Provenance says of a digest who built it from which source: an image that was built on
    somebody's laptop, or changed afterwards, has none. It is read as SLSA provenance in in-toto's
    form. Its signature is not verified here, which cosign verify-attestation does: what is looked
    at is that only trusted accounts can have written the file, and which builder it names."""
    found = provenances(image, policy.scan_reports or (), writers(policy))
    if not found.good:
        not_found(found, policy.builders is not None, "statement of provenance")
        return
    if policy.builders is None:
        facts = {str(each): each.what.builder for each in found.good}
        raise Manual("see that its builder is to be trusted, and name it in builders", facts)
    known = [each for each in found.good if _known(each.what.builder, policy.builders)]
    shown = (known or found.good)[0]
    name = shown.what.builder or "nobody"
    if not known:
        expect(name, one_of=policy.builders, what=f"builder, by {shown}")
        return
    expect(name, equals=name, what=f"builder, by {shown}, whose signature was not verified")
    finished = shown.what.finished
    if finished and finished > started + SLACK:
        expect(f"{finished:%Y-%m-%d}", equals="in the past", what=f"date in {shown}")


def _known(builder: str, allowed: tuple[str, ...]) -> bool:
    if not builder or "/../" in f"{builder}/":
        return False
    places = [each.rstrip("/") for each in allowed if each]
    return any(builder == each or builder.startswith((f"{each}/", f"{each}@")) for each in places)


@control(
    title="Builds say how an image came to be",
    severity="low",
    level=2,
    fix="Take BUILDX_NO_DEFAULT_ATTESTATIONS out of the files and units that set it, and start "
    "the agents again; a single build can still say --provenance=false.",
)
def test_default_attestations(attestation_settings: list[Setting]) -> None:
    """Buildx attests by itself how it has built an image, at least when and from what. A variable
    turns that off for all builds of a host, mostly because an old registry once choked on it, and
    is then forgotten: no image from there can be traced to its source."""
    off = [str(each) for each in attestation_settings if each.off]
    expect(off, equals=[], what="where attestations are turned off")
