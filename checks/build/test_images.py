"""Where images come from, how old they are, and what they carry."""

from datetime import datetime, timedelta
from typing import Any

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.images import Image, moment
from hullcheck.facts.origins import approved, bases, claimed_base, origins, trusted
from hullcheck.facts.recipes import recipe
from hullcheck.facts.secret_names import names_of_secrets
from hullcheck.inventory.policy import Policy

SIGNER = ("SubjectAlternativeName", "SourceRepositoryURI", "SourceRepositoryOwnerURI",
          "BuildSignerURI")  # fmt: skip
"""What of a signer's certificate says who it is; the rest says how it was signed."""
HARMLESS_TESTS = ("true", ":", "exit 0", "/bin/true", "/usr/bin/true")


@control(
    title="Images come from registries that the site trusts",
    severity="high",
    fix="Pull it from a registry of the site's (a mirror or a copy), or add its own to the "
    "policy's registries.",
)
def test_approved_origin(image: Image, policy: Policy) -> None:
    """Whoever may push to a repository decides what runs on every host that pulls from it. A tag
    alone is no proof, for anybody can give one here: what counts is what the engine keeps of the
    registry that an image was pulled from or pushed to."""
    found = origins(image)
    if not found:
        raise NotApplicable("it was made or loaded here; what it is built on is judged instead")
    if policy.registries is None:
        raise Manual("see that its origin is to be trusted, and name it in the policy's registries",
                     {"repositories": found})  # fmt: skip
    strange = [each for each in found if not approved(each, policy.registries)]
    expect(strange, equals=[], what="repositories that the site has not approved")


@control(
    title="Images are built on bases that the site trusts",
    severity="high",
    fix="Build on an approved base, label the image with org.opencontainers.image.base.name, and "
    "list the base in the policy's base_images.",
)
def test_approved_base(image: Image, policy: Policy) -> None:
    """Most of what is in an image comes with its base. Which it is can be seen where the base is
    on this host too, as both begin with the same layers; else the image's own label tells, which
    is worth as much as the word of whoever built it."""
    allowed = policy.registries if policy.base_images is None else policy.base_images
    below = bases(image, image.siblings)
    seen = [each for each in below if origins(each)]
    claim = claimed_base(image)
    if allowed is None:
        shown = {"bases": [str(each) for each in seen], "by its label": claim,
                 "comes from": origins(image)}  # fmt: skip
        raise Manual("see that it is built on a base to be trusted", shown)
    good = [each for each in (image, *below) if trusted(each, allowed)]
    if good or (claim and approved(claim, allowed)):
        name = str(good[0]) if good else claim
        expect(name, equals=name, what="what it comes from or is built on, which is approved")
        return
    named = [*map(str, seen), *([claim] if claim else [])]
    if not named and origins(image):
        raise NotApplicable("it does not tell its base; where it comes from is judged instead")
    expect(named or ["made here, of nobody knows what"], equals=[], what="its base")


@control(
    title="Images have been built again lately",
    severity="medium",
    fix="Build it again on the newest base (docker build --pull --no-cache) or pull its newest "
    "version; the policy's maximum_image_age says how old it may be.",
)
def test_image_age(image: Image, policy: Policy, started: datetime) -> None:
    """Fixes reach an image only when it is built again. Whether it has known flaws only a scanner
    could tell; that one which nobody has rebuilt for a quarter has some is certain enough."""
    built = image.created or moment(image.labels.get("org.opencontainers.image.created", ""))
    if built is None:
        raise Unknown("it does not tell when it was built")
    if built > started + timedelta(days=1):
        raise Unknown(f"it says that it was built in the future, on {built:%Y-%m-%d}")
    age = max(0, (started - built).days)
    expect(age, at_most=policy.maximum_image_age, what="days since it was built")


@control(
    title="Images of services say how their health is checked",
    severity="low",
    fix="Add a HEALTHCHECK that asks the service itself to the Dockerfile.",
)
def test_image_health_check(image: Image) -> None:
    """Who wrote the program knows best how to tell whether it works. Told in the image, every
    container gets the check; one that cannot fail tells nothing. Images from which nothing runs,
    such as bases, need none."""
    if not image.running:
        raise NotApplicable("nothing that was made from it runs")
    test = [str(each) for each in image.config("Healthcheck", {}).get("Test") or []]
    if not test or test[0] == "NONE":
        found = "none"
    elif " ".join(test[1:]).strip() in HARMLESS_TESTS:
        found = "one that cannot fail"
    else:
        found = "some"
    expect(found, equals="some", what="health check")


@control(
    title="What runs comes from images with verified signatures",
    severity="medium",
    level=2,
    fix="Sign images where they are built, verify them where they are pulled, and list who may "
    "sign (image_signers), or the digests that were verified (verified_images), in the policy.",
)
def test_signed_images(image: Image, policy: Policy) -> None:
    """A registry that was broken into serves what it likes. Only a signature by someone the site
    knows tells that an image is what was built. Engines of API 1.53 and later verify signatures
    themselves; for others the site's own pipeline must say which digests it has verified."""
    if not image.containers:
        raise NotApplicable("no container was made from it")
    digests = {image.id, *(each.rpartition("@")[2] for each in image.digests)}
    verified = sorted(digests & set(policy.verified_images or ()))
    if verified:
        expect(verified, equals=verified, what="digests that the site has verified")
        return
    found = (image.inspect.get("Identity") or {}).get("Signature") or []
    broken = [str(each["Error"]) for each in found if each.get("Error")]
    signers = [name for each in found if not each.get("Error") for name in _signers(each)]
    known = policy.image_signers or ()
    good = [name for name in signers if _is_known(name, known)]
    if good:
        expect(good, equals=good, what="signers that the site knows")
        return
    expect(broken, equals=[], what="signatures that do not verify")
    if policy.verified_images is None and policy.image_signers is None:
        facts = {"signers": signers, "digests": sorted(digests)}
        raise Manual("see that its signature is verified, with cosign verify for instance", facts)
    if signers:
        expect(signers, equals=[], what="signers, none of whom the site knows")
    else:
        expect("none", equals="one that the site knows of", what="signature")


def _signers(signature: dict[str, Any]) -> list[str]:
    signer = signature.get("Signer") or {}
    told = [signature.get("KnownSigner"), *(signer.get(name) for name in SIGNER)]
    return [str(each) for each in told if each]


def _is_known(name: str, known: tuple[str, ...]) -> bool:
    places = [each.rstrip("/") for each in known]
    return any(name == each or name.startswith((f"{each}/", f"{each}@")) for each in places)


@control(
    title="No image carries secrets in its configuration",
    severity="critical",
    fix="Build with --secret (RUN --mount=type=secret), give secrets to containers as files, and "
    "replace what has leaked: whoever has the image has it.",
)
def test_secrets_in_configuration(image: Image, policy: Policy) -> None:
    """An image's variables, labels, the arguments of its build and every command of it can be
    read by whoever can pull it, even where a later layer takes them away again."""
    found = names_of_secrets(image, recipe(image)) - set(policy.plain_variables)
    expect(sorted(found), equals=[], what="secrets")
