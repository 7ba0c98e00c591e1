"""Whether the host has the repairs that there are, and runs them."""

from __future__ import annotations

from datetime import datetime

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.automatic import Automatic
from hullcheck.facts.engine_programs import EnginePrograms
from hullcheck.facts.kernels import Kernels
from hullcheck.facts.updates import Updates
from hullcheck.facts.versions import compare_dpkg
from hullcheck.inventory.policy import Policy

DAY = 86400


@control(
    title="The host runs the newest kernel that is installed",
    severity="high",
    fix="Start the host again (after draining its containers), or load a live patch and plan it.",
)
def test_kernel_current(kernels: Kernels) -> None:
    """All containers share the host's kernel, and most ways out of one are faults of it. A
    repaired kernel that lies on the disk protects nobody until it is started; package managers
    report it as installed all the same. Libraries that wait for a restart count too, where the
    distribution notes them."""
    newest = kernels.newest
    waiting = [f"{mark} ({', '.join(named)})" if named else mark
               for mark, named in kernels.waiting.items()]  # fmt: skip
    expect(waiting, equals=[], what="what waits for a restart")
    if not kernels.installed:
        if waiting:
            return
        raise NotApplicable("the kernel that runs is not one that is installed on this host")
    if not newest:
        raise Unknown(
            f"{kernels.running} runs, and only other kinds are installed:"
            f" {', '.join(sorted(kernels.installed))}"
        )
    if kernels.patches and newest != kernels.running:
        raise Manual(
            f"whether the live patches ({', '.join(kernels.patches)}) of {kernels.running} repair"
            f" what {newest} does",
            list(kernels.patches),
        )
    expect(kernels.running, equals=newest, what="the kernel that runs")
    built, package = kernels.built, kernels.package
    if built and package and compare_dpkg(package, built) > 0:
        expect(built, equals=package, what=f"the build of {kernels.running} that runs")


@control(
    title="Running engine programs are the installed ones",
    severity="high",
    fix="Restart the engine's service; a shim or conmon ends with its container, so start that "
    "again too.",
)
def test_engine_restarted(engine_programs: EnginePrograms) -> None:
    """An update replaces the file, and the old program goes on running with its faults: dockerd
    with live-restore, containerd, and a shim for as long as its container lives. The kernel tells
    of a running program that its file is gone, whatever the package manager says."""
    running, unseen = engine_programs.running
    if not running and not unseen:
        raise NotApplicable("no engine's program runs on this host")
    old = [f"{each.process}: {each.path}" for each in running if each.replaced]
    expect(old, equals=[], what="running programs whose file has been replaced")
    if unseen:
        raise Unknown(unseen[0])


@control(
    title="No known security update waits to be installed",
    severity="high",
    fix="Install them: apt-get update && apt-get upgrade, dnf upgrade --security, zypper patch -g "
    "security, apk upgrade --available.",
)
def test_security_updates(updates: Updates, policy: Policy, started: datetime) -> None:
    """What is repaired and announced is what attackers try first. The host's own lists are
    compared with what is installed; a package that is held back counts. Where the lists are old,
    or none of them is of security updates, nothing waits only because nobody has asked."""
    expect([str(each) for each in updates.pending], equals=[], what="security updates that wait")
    if updates.doubt:
        raise Unknown(updates.doubt)
    age = (started.timestamp() - updates.fetched) / DAY
    if not updates.fetched or age > policy.maximum_update_list_age:
        since = f"{age:.0f} days old" if updates.fetched else "of an age that cannot be told"
        raise Unknown(f"the host's lists of updates are {since}")
    if 0 < updates.expires < started.timestamp():
        raise Unknown("the lists of the security archive are past the date that they are valid")
    if age < -1:
        raise Unknown("the host's lists of updates are from the future: a clock is wrong")


@control(
    title="Security updates are installed by themselves, and really are",
    severity="medium",
    fix="Install unattended-upgrades and let 20auto-upgrades hold APT::Periodic::Update-Package-"
    'Lists "1" and Unattended-Upgrade "1"; or enable dnf-automatic-install.timer. Where updates '
    "are rolled out in another way, say automatic_updates: false in the policy.",
)
def test_automatic_updates(automatic_updates: Automatic, policy: Policy) -> None:
    """Between the announcement of a hole and its use lie hours. What is set up to install repairs
    must also be able to: its timer runs, its lists are renewed, and the security archive is among
    the origins that it may take from. One that is switched on and cannot work gives false
    comfort."""
    found = automatic_updates
    if found.tool or found.faults:
        expect(list(found.faults), equals=[], what=f"what stops {found.tool}")
    elif policy.automatic_updates:
        expect(found.note, equals="something installs updates", what="automatic updates")
    elif policy.automatic_updates is None:
        raise Manual(f"how security updates come to this host: {found.note}", found.note)
    else:
        raise NotApplicable("the site installs updates in another way")
