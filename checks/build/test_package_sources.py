"""Whether what is installed and fetched on a host is verified."""

from __future__ import annotations

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.fetch_settings import FetchSettings
from hullcheck.facts.package_archives import Archives

from .fetching import further_index, unsafe

SHOWN = 3
TRUST = "DOCKER_CONTENT_TRUST"


@control(
    title="The system's package manager verifies what it installs",
    severity="high",
    level=1,
    fix="Remove trusted=yes and Allow-Insecure from apt's sources and AllowUnauthenticated from "
    "apt.conf.d; set gpgcheck=1 in every .repo file, SigLevel = Required in pacman.conf; bring the "
    "archive's key instead (signed-by, gpgkey).",
)
def test_verified_archives(package_archives: Archives) -> None:
    """Packages are installed by root, and run their own scripts as root. Without signatures the
    archive's server, its mirrors and whoever is on the way to them decide what those do. That
    signed packages come by plain HTTP is no fault."""
    distant = [str(each) for each in package_archives.unverified if not each.local]
    near = [str(each) for each in package_archives.unverified if each.local]
    expect(distant, equals=[], what="what is installed without a signature")
    if package_archives.doubts and not distant:
        raise Unknown("; ".join(package_archives.doubts[:SHOWN]))
    if near and not distant:
        raise Manual("see that nobody but root writes the archives on this host's disks", near)


@control(
    title="Tools that fetch code verify whom they fetch it from",
    severity="high",
    level=1,
    fix="Remove the setting (trusted-host, strict-ssl=false, GOSUMDB=off, insecure …) and write "
    "https:// in the place of http://; give a private server's CA to the tool (cert, cafile, "
    "SSL_CERT_FILE) instead.",
)
def test_verified_fetching(fetch_settings: FetchSettings) -> None:
    """What pip, npm, Go, Maven, curl and their kin bring is run, mostly at once, by whoever builds
    here. One line in a forgotten file of a home, or a variable for everybody, makes each of these
    take it from whoever is on the way. Modules of one's own house that Go does not look up in the
    public checksum database are in order."""
    found = [str(each) for each in fetch_settings.settings if unsafe(each)]
    expect(sorted(set(found)), equals=[], what="settings that turn verification off")
    if fetch_settings.doubts and not found:
        raise Unknown("; ".join(fetch_settings.doubts[:SHOWN]))


@control(
    title="Packages of a language come from one index",
    severity="medium",
    level=2,
    fix="Let index-url name one server of your own that mirrors the public index, and remove "
    "extra-index-url from pip.conf and PIP_EXTRA_INDEX_URL from the environment; with uv, bind a "
    "package to its index in tool.uv.sources.",
)
def test_single_package_index(fetch_settings: FetchSettings) -> None:
    """pip asks all indexes and takes the highest version that any of them has. Whoever registers
    the name of a house's own package in the public one has his code run in the house's builds:
    dependency confusion."""
    found = [str(each) for each in fetch_settings.settings if further_index(each)]
    tools = {each.tool for each in fetch_settings.settings}
    expect(sorted(set(found)), equals=[], what="further indexes")
    if fetch_settings.doubts and not found:
        raise Unknown("; ".join(fetch_settings.doubts[:SHOWN]))
    if not tools & {"pip", "uv", "env"}:
        raise NotApplicable("no index of Python's packages is set")


@control(
    title="No build relies on Docker Content Trust",
    severity="low",
    level=1,
    fix="Remove DOCKER_CONTENT_TRUST from the environment, sign images with cosign or notation and "
    "verify them where they are pulled; pin images by digest meanwhile.",
)
def test_no_content_trust(fetch_settings: FetchSettings) -> None:
    """Docker's service for these signatures, notary.docker.io, shuts down on 2026-12-08. From then
    on the variable proves nothing: pulls and pushes fail, until somebody switches it off in
    haste. Benchmarks that still ask for it are out of date. A server of one's own
    (DOCKER_CONTENT_TRUST_SERVER) is not meant."""
    told = [each for each in fetch_settings.settings if each.name.startswith(TRUST)]
    own = {each.path for each in told if each.name != TRUST and "docker.io" not in each.value}
    on = [each for each in told if each.name == TRUST and each.value.lower() in ("1", "t", "true")]
    found = [str(each) for each in on if each.path not in own]
    expect(sorted(set(found)), equals=[], what="where content trust is switched on")
    if fetch_settings.doubts and not found:
        raise Unknown("; ".join(fetch_settings.doubts[:SHOWN]))
