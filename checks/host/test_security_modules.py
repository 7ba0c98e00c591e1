"""Mandatory access control that holds containers in."""

from __future__ import annotations

from hullcheck.control import NotApplicable, Unknown, control, expect
from hullcheck.facts.docker import Engines
from hullcheck.facts.kernel import Kernel
from hullcheck.facts.lsm import LSM


@control(
    title="AppArmor or SELinux confines containers",
    severity="high",
    fix="Boot with the distribution's security module on (apparmor=1 security=apparmor, or "
    "SELINUX=enforcing in /etc/selinux/config), install its tools, set selinux-enabled in "
    "daemon.json for SELinux, and restart the engine.",
)
def test_lsm_enforcing(lsm: LSM, engines: Engines) -> None:
    """Should a container's process become root on the host, a security module is what still
    keeps it from the host's files. One of the two is enough; both need the kernel and the engine
    to play along: without its profile, a container under AppArmor runs unconfined."""
    if not expect(_confining(lsm), one_of=("AppArmor", "SELinux"), what="what confines containers"):
        return
    if engines.doubt and not engines.engines:
        raise Unknown(f"cannot tell what engines use it: {engines.doubt}")
    name = "SELinux" if lsm.selinux.enforcing else "AppArmor"
    rootful = [each for each in engines.engines if not each.rootless]
    for engine in rootful:
        used = "in use" if name.lower() in engine.security_options else "not in use"
        expect(used, equals="in use", what=f"{name} in {engine}")
    if rootful and name == "AppArmor":
        state = lsm.apparmor.profiles.get("docker-default")
        expect(state, one_of=("enforce", "kill"), what="AppArmor profile docker-default")


def _confining(lsm: LSM) -> str:
    """Return what confines containers: one module, for engines know how to use one."""
    apparmor, selinux = lsm.apparmor.enabled, lsm.selinux
    if selinux.enforcing:
        return "both AppArmor and SELinux" if apparmor else "SELinux"
    mode = "permissive" if selinux.enabled else "off"
    return "AppArmor" if apparmor else f"none (AppArmor is off, SELinux {mode})"


@control(
    title="Engines' AppArmor profiles are enforced",
    severity="high",
    fix="Run aa-enforce on the profile, or restart the engine to load it again.",
)
def test_apparmor_profiles(lsm: LSM) -> None:
    """A profile in complain mode only writes to the log what it would have denied, while every
    inspection of the container shows it as confined."""
    if not lsm.apparmor.enabled:
        raise NotApplicable("AppArmor is not the security module of this host")
    profiles = lsm.apparmor.engine_profiles
    if not profiles:
        raise NotApplicable("no engine has loaded a profile")
    for name, mode in sorted(profiles.items()):
        expect(mode, one_of=("enforce", "kill"), what=f"mode of AppArmor profile {name}")


@control(
    title="SELinux enforces, now and after the next boot",
    severity="high",
    fix="Set SELINUX=enforcing in /etc/selinux/config, remove enforcing=0 and selinux=0 from the "
    "boot line, and run setenforce 1.",
)
def test_selinux_enforcing(lsm: LSM, kernel: Kernel) -> None:
    """In permissive mode SELinux only writes to the log. Often it was set so to find a fault and
    has stayed so; and where only setenforce was run, the next boot undoes it."""
    selinux = lsm.selinux
    if not selinux.enabled and lsm.apparmor.enabled:
        raise NotApplicable("AppArmor is the security module of this host")
    if not selinux.enabled and not selinux.configured:
        raise NotApplicable("this host has no SELinux")
    now = "enforcing" if selinux.enforcing else "permissive" if selinux.enabled else "off"
    expect(now, equals="enforcing", what="SELinux")
    expect(selinux.configured, equals="enforcing", what="SELINUX in /etc/selinux/config")
    for name in ("enforcing", "selinux"):
        boot = kernel.cmdline.get(name, ("1",))[-1]
        expect(boot, equals="1", what=f"{name}= on the boot line")


@control(
    title="SELinux makes no exception for containers",
    severity="high",
    fix="Run semanage permissive -d TYPE, and remove a policy module that has permissive TYPE.",
)
def test_selinux_exceptions(lsm: LSM) -> None:
    """A single type can be made permissive while getenforce says Enforcing: what its processes may
    not do is then done all the same, and only written to the log. Of the types of containers that
    is the same as no SELinux."""
    if not lsm.selinux.enabled:
        raise NotApplicable("the kernel runs without SELinux")
    expect(lsm.selinux.let_go, equals=[], what="types of containers that are permissive")
