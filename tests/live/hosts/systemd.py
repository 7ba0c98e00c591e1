"""A whole Debian host that boots a real systemd, in a cgroup v1 or v2 layout."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from tests.live.hosts.docker import Config, Daemon, DockerHost
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.seed import put

UNITS = Path("/lib/systemd/system")
ENABLED = {
    "multi-user.target.wants": ("ssh.service", "docker.service", "containerd.service"),
    "sockets.target.wants": ("docker.socket",),
}
# What would touch the machine under the host, or waits for what is not there.
MASKED = (
    "systemd-udevd.service", "systemd-udevd-control.socket", "systemd-udevd-kernel.socket",
    "systemd-udev-trigger.service", "systemd-udev-settle.service", "systemd-hwdb-update.service",
    "systemd-modules-load.service", "kmod-static-nodes.service", "modprobe@.service",
    "systemd-sysctl.service", "procps.service", "systemd-binfmt.service", "systemd-repart.service",
    "proc-sys-fs-binfmt_misc.automount", "proc-sys-fs-binfmt_misc.mount", "dev-hugepages.mount",
    "dev-mqueue.mount", "sys-kernel-config.mount", "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "sys-fs-fuse-connections.mount", "systemd-remount-fs.service", "systemd-fsck-root.service",
    "systemd-tmpfiles-setup-dev.service", "systemd-tmpfiles-clean.timer",
    "systemd-firstboot.service",
    "systemd-journald-audit.socket", "systemd-random-seed.service", "systemd-pstore.service",
    "systemd-rfkill.socket",
    "systemd-networkd.service", "systemd-networkd.socket", "networking.service", "getty.target",
    "console-getty.service", "systemd-ask-password-console.path", "systemd-ask-password-wall.path",
    "postgresql.service", "packagekit.service", "podman.socket", "rc-local.service",
)  # fmt: skip
GENERATORS = (
    "sysv",
    "getty",
    "gpt-auto",
    "cryptsetup",
    "veritysetup",
    "integritysetup",
    "hibernate-resume",
)


class Unit(Daemon):
    """The dockerd of docker.service; its flags stand in /etc/default/docker."""

    def start(self, config: Config | None = None, flags: Sequence[str] = ()) -> None:
        self.configure(config)
        options = shlex.join([*self.no_bridge(config, flags), *flags])
        self.host.write("/etc/default/docker", f"DOCKER_OPTS={shlex.quote(options)}\n")
        self.host.run(
            "systemctl reset-failed docker; systemctl restart docker.socket docker.service"
        )
        self.wait()

    def stop(self) -> None:
        self.host.run("systemctl stop docker.service docker.socket")


class SystemdHost(DockerHost):
    """A DockerHost whose PID 1 is systemd: ssh, docker, containerd, dbus, journald and logind are
    units. layout: the cgroup layout, "v1" or "v2"."""

    def __init__(
        self,
        name: str = "systemd1",
        address: str | None = None,
        port: int = 2222,
        *,
        layout: Literal["v1", "v2"] = "v2",
        bridge: bool | None = False,
        config: Config | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        self.cgroup_layout = layout
        super().__init__(name, address, port, bridge=bridge, config=config, flags=flags)

    def init(self) -> list[str]:
        return ["/usr/bin/env", "container=other", "/lib/systemd/systemd", "--system"]

    def seed(self, root: Path) -> None:
        super().seed(root)
        system = root / "etc/systemd/system"
        for target, units in ENABLED.items():
            (system / target).mkdir(parents=True)
            for unit in units:
                (system / target / unit).symlink_to(UNITS / unit)
        (system / "default.target").symlink_to(UNITS / "multi-user.target")
        (system / "sshd.service").symlink_to(UNITS / "ssh.service")
        for unit in MASKED:
            (system / unit).symlink_to("/dev/null")
        generators = root / "etc/systemd/system-generators"
        generators.mkdir()
        for name in GENERATORS:
            (generators / f"systemd-{name}-generator").symlink_to("/dev/null")
        put(root, "etc/fstab", "")
        put(root, "etc/systemd/journald.conf.d/audit.conf", "[Journal]\nAudit=no\n")
        config, flags = self.first
        engine = self.make_engine()
        options = shlex.join([*engine.no_bridge(config, flags), *flags])
        put(root, "etc/default/docker", f"DOCKER_OPTS={shlex.quote(options)}\n")

    def make_engine(self) -> Daemon:
        return Unit(self, bridge=self.bridge)

    def ready(self) -> None:
        OverlayHost.ready(self)
        state = self.run("systemctl is-system-running --wait", check=False).stdout.strip()
        if state != "running":
            failed = self.run("systemctl --failed --no-legend; systemctl list-jobs").stdout
            raise AssertionError(f"{self.name} is {state}: {failed}{self.log()}")
        self.engine = self.make_engine()
        self.engine.wait()
        if self.first[0] is not None:
            self.engine.restart(*self.first)
        self.engine.load_image()

    def systemctl(self, *args: str) -> str:
        """Run systemctl on the host; returns its output."""
        return self.run(shlex.join(["systemctl", "--no-pager", *args])).stdout.strip()

    def drop_in(self, unit: str, name: str, text: str) -> str:
        """Write /etc/systemd/system/UNIT.d/NAME.conf and reload systemd; returns its path."""
        path = f"/etc/systemd/system/{unit}.d/{name}.conf"
        self.write(path, text)
        self.systemctl("daemon-reload")
        return path

    def restart_unit(self, unit: str) -> None:
        """Restart a unit, however often it was restarted before."""
        self.run(f"systemctl reset-failed {unit}; systemctl restart {unit}")
