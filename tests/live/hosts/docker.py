"""A host with its own real dockerd at the default paths, and further daemons beside it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.live.hosts.images import FOREVER, busybox_tar
from tests.live.hosts.network import Busy
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.seed import put

IMAGE = "busybox:1"

# Even off docker0 a dockerd edits the one firewall of the machine: such a host has this instead.
NO_IPTABLES = """\
#!/bin/sh
[ "$1" != --version ] || echo 'iptables v1.8.9 (nf_tables)'
"""
Config = Mapping[str, Any]


@dataclass
class Daemon:
    """One dockerd on a host. config None: no daemon.json; flags: of its command line."""

    host: OverlayHost
    socket: str = "/var/run/docker.sock"
    pid_file: str = "/var/run/docker.pid"
    config_file: str = "/etc/docker/daemon.json"
    log: str = "/var/log/dockerd.log"
    where: tuple[str, ...] = ()
    bridge: bool = False

    def start(self, config: Config | None = None, flags: Sequence[str] = ()) -> None:
        """Write daemon.json (or remove it), start dockerd and wait until it answers."""
        self.configure(config)
        argv = ["/usr/sbin/dockerd", *self.where, *self.no_bridge(config, flags), *flags]
        self.host.run(f"{shlex.join(argv)} >>{self.log} 2>&1 </dev/null &")
        self.wait()

    def configure(self, config: Config | None) -> None:
        """Make daemon.json hold this, or be absent."""
        if config is None:
            self.host.run(f"rm -f {self.config_file}")
        else:
            self.host.write(self.config_file, json.dumps(config, indent=2) + "\n")

    def no_bridge(self, config: Config | None, flags: Sequence[str]) -> list[str]:
        """Return the flag that keeps this daemon off docker0, when it is another's."""
        said = any(flag.startswith(("--bridge", "-b")) for flag in flags) or "bridge" in (
            config or {}
        )
        return [] if self.bridge or said else ["--bridge=none"]

    def wait(self) -> None:
        """Wait until the daemon answers; AssertionError with its log when it ends instead."""
        socket, pid_file = shlex.quote(self.socket), shlex.quote(self.pid_file)
        self.host.run(
            f"""for turn in $(seq 300); do
                docker -H unix://{socket} version >/dev/null 2>&1 && exit 0
                [ $turn -lt 20 ] || kill -0 "$(cat {pid_file} 2>/dev/null)" 2>/dev/null || break
                sleep 0.05
            done; echo "dockerd is not up:"; tail -n 20 {self.log}; exit 1"""
        )

    def stop(self) -> None:
        """Stop it in an orderly way; its containers end with it unless live-restore is set."""
        self.host.run(
            f"""pid=$(cat {self.pid_file}) && kill -TERM "$pid"
            for turn in $(seq 600); do [ -d "/proc/$pid" ] || exit 0; sleep 0.05; done; exit 1"""
        )

    def restart(self, config: Config | None = None, flags: Sequence[str] = ()) -> None:
        """Stop, and start with another daemon.json and other flags."""
        self.stop()
        self.start(config, flags)

    def docker(self, *args: str, check: bool = True, stdin: bytes = b"") -> str:
        """Run the docker client on the host against this daemon; returns its output."""
        argv = ["docker", "-H", f"unix://{self.socket}", *args]
        done = self.host.run(shlex.join(argv) + " 2>&1", check=check, stdin=stdin)
        return done.stdout.strip()

    def load_image(self, name: str = IMAGE, *changes: str, tar: bytes | None = None) -> None:
        """Import a root file system (busybox unless given) as an image."""
        said = [part for change in (FOREVER, *changes) for part in ("-c", change)]
        self.docker("import", *said, "-", name, stdin=tar or busybox_tar())


class DockerHost(OverlayHost):
    """An overlay host with dockerd. bridge: True takes docker0 (waits a minute for it, then
    raises Busy), False never does, None takes it when it is free; .bridge says what came of it."""

    def __init__(
        self,
        name: str = "docker1",
        address: str | None = None,
        port: int = 2222,
        *,
        bridge: bool | None = None,
        config: Config | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        self.first = config, flags
        self.wants_bridge = bridge is not False
        self.patience = 60.0 if bridge else 0.0
        try:
            super().__init__(name, address, port)
        except Busy:
            if bridge is not None:
                raise
            self.wants_bridge = False
            super().__init__(name, address, port)

    @property
    def bridge(self) -> bool:
        return self.wants_bridge

    def seed(self, root: Path) -> None:
        if not self.bridge:
            for name in ("iptables", "ip6tables"):
                put(root, f"usr/local/sbin/{name}", NO_IPTABLES, 0o755)

    def binds(self) -> list[tuple[Path, str]]:
        """Put data-roots on the real file system: overlay2 can't stand on an overlay."""
        made = [(self.state / "docker", "/var/lib/docker"), (self.state / "data", "/srv/data")]
        for outside, _ in made:
            outside.mkdir()
        return made

    def ready(self) -> None:
        self.engine = self.make_engine()
        self.engine.start(*self.first)
        self.engine.load_image()
        super().ready()

    def make_engine(self) -> Daemon:
        """Return the daemon at the default paths, not started."""
        return Daemon(self, bridge=self.bridge)

    def restart(self, config: Config | None = None, flags: Sequence[str] = ()) -> None:
        """Restart dockerd with another daemon.json (None: without one) and other flags."""
        self.engine.restart(config, flags)

    def docker(self, *args: str, check: bool = True) -> str:
        """Run the docker client on the host; returns its output, both streams."""
        return self.engine.docker(*args, check=check)

    def start(
        self, name: str, *options: str, command: Sequence[str] = (), image: str = IMAGE
    ) -> str:
        """Start a container in the background; returns its id. It sleeps unless told otherwise."""
        return self.docker("run", "-d", "--name", name, *options, image, *command).split()[-1]

    def remove(self, *names: str) -> None:
        """Remove containers by force."""
        self.docker("rm", "-f", "-v", *names)

    def second_daemon(
        self, name: str = "second", config: Config | None = None, flags: Sequence[str] = ()
    ) -> Daemon:
        """Start one more dockerd on this host: own socket, data-root, pid file and config file."""
        run = f"/run/docker-{name}"
        daemon = Daemon(
            self,
            socket=f"{run}.sock",
            pid_file=f"{run}.pid",
            config_file=f"/etc/docker/{name}.json",
            log=f"/var/log/dockerd-{name}.log",
            where=(
                f"--host=unix://{run}.sock", f"--pidfile={run}.pid", f"--exec-root={run}",
                f"--data-root=/srv/data/{name}",
            ),
        )  # fmt: skip
        if config is not None:
            daemon.where += (f"--config-file={daemon.config_file}",)
        daemon.start(config, flags)
        daemon.load_image()
        return daemon
