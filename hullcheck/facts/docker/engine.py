"""One Docker daemon: what it says, how it was started, and what it is set to."""

from __future__ import annotations

import posixpath
from typing import Any

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.docker.api import Api
from hullcheck.facts.docker.command_line import Flags, parse_flags
from hullcheck.facts.docker.configuration import Configuration, read_configuration, wants
from hullcheck.facts.docker.settings import OPTIONS, Setting, configured, security_options
from hullcheck.facts.docker.units import Unit, unit_named, user_unit_named
from hullcheck.facts.processes import Process, Processes
from hullcheck.facts.registry import fact, get
from hullcheck.transport import Want, read, session_of, want
from hullcheck.verdict import Object

__all__ = ["DockerEngine"]

SLACK = 1.5
"""Seconds by which a start time may be off: the kernel tells the boot time in whole seconds."""

FIRST_START = 60.0
"""Seconds within which a starting daemon writes its own key beside its daemon.json."""

HERE = want("stat -L -c '%d:%i' /proc/self/ns/mnt")
NETWORK = want("stat -L -c '%d:%i' /proc/self/ns/net")

_ENVIRONMENT = "HOME|XDG_CONFIG_HOME|XDG_RUNTIME_DIR|DOCKER_TLS_VERIFY|DOCKER_CERT_PATH"


class DockerEngine:
    """A Docker daemon of the host.

    :param address: ``unix:///run/docker.sock`` or, without a socket, ``tcp://address:port``.
    :param number: its pid, or None if the audit's user may not see it.
    :param sockets: the Unix sockets it listens on; ``tcp`` its TCP listeners, as ``tcp://…``.
    """

    def __init__(
        self,
        host: Host,
        address: str,
        number: int | None,
        client: bool,
        sockets: tuple[str, ...],
        tcp: tuple[str, ...] | None,
        root: bool,
    ) -> None:
        self.host = host
        self.address = address
        self.sockets = sockets
        self.api = Api(host, address, client)
        self._number = number
        self._tcp = tcp
        self._root = root

    @property
    def object(self) -> Object:
        return Object("engine", f"docker {self.socket or self.address}")

    def __str__(self) -> str:
        return self.object.name

    @property
    def socket(self) -> str:
        """The path of its API socket; empty if it has none."""
        return self.address.removeprefix("unix://") if self.address.startswith("unix://") else ""

    @property
    def pid(self) -> int:
        """Its pid in the host's numbers. :raises Unknown: only root can see which it is."""
        if self._number is None:
            raise Unknown(f"cannot tell which process serves {self.address} (needs root)")
        return self._number

    @property
    def process(self) -> Process:
        """Its process. :raises Unknown: it cannot be seen, or has ended."""
        processes: Processes = get(self.host, "processes")
        process = processes.get(self.pid)
        if process is None:
            raise Unknown(f"process {self.pid}, which served {self.address}, has ended")
        return process

    def _first(self) -> tuple[Want, ...]:
        """What is asked of every engine, together with the questions of its API."""
        if self._number is None:
            return self.api.wants()
        base = f"/proc/{self._number}"
        return (
            *self.api.wants(),
            HERE,
            want(f"head -c 262144 {base}/cmdline"),
            want(
                f"tr '\\0' '\\n' <{base}/environ | grep -aE '^({_ENVIRONMENT})='", meaning=(0, 1, 2)
            ),
            want(f"readlink -n {base}/cwd", meaning=(0, 1)),
            *wants("/etc/docker/daemon.json"),
        )

    @fact
    def version(self) -> dict[str, Any]:
        """The server's part of ``docker version``."""
        session_of(self.host).ask(*self._first())
        return self.api.version()

    @fact
    def info(self) -> dict[str, Any]:
        """The daemon's ``docker info``."""
        session_of(self.host).ask(*self._first())
        return self.api.info()

    @fact
    def networks(self) -> list[dict[str, Any]]:
        """Its networks, inspected."""
        return self.api.networks()

    @fact
    def _containers(self) -> list[dict[str, Any]]:
        return self.api.containers()

    def containers(self) -> list[dict[str, Any]]:
        """Return all its containers in every state, inspected, from one command."""
        return self._containers

    @fact
    def _images(self) -> list[dict[str, Any]]:
        return self.api.images()

    def images(self) -> list[dict[str, Any]]:
        """Return its images, inspected, from one command."""
        return self._images

    def further_images(self, ids: list[str]) -> list[dict[str, Any]]:
        """Return images that are not listed, inspected; one that is gone is left out."""
        return self.api.further_images(ids)

    @property
    def default_bridge(self) -> dict[str, Any] | None:
        """The network that a container joins if it names none; None with ``--bridge=none``.

        No other can have its name (moby, runconfig: predefined networks).
        """
        marked = "com.docker.network.bridge.default_bridge"
        named = [each for each in self.networks if each.get("Name") == "bridge"]
        for network in self.networks:
            options = network.get("Options") or {}
            if network.get("Driver") == "bridge" and options.get(marked) == "true":
                named.append(network)
        return named[0] if named else None

    @property
    def release(self) -> tuple[int, int]:
        """Its version's first two numbers. :raises Unknown: it has none that can be read."""
        text = str(self.version.get("Version", ""))
        parts = text.split(".")
        try:
            return int(parts[0]), int(parts[1])
        except (ValueError, IndexError):
            raise Unknown(f"{self.address} calls its version {text[:40]!r}") from None

    @property
    def root_dir(self) -> str:
        """Its data root, as it sees it."""
        return str(self.info["DockerRootDir"])

    @property
    def rootless(self) -> bool:
        """Whether it says that it runs without root's rights."""
        return "rootless" in security_options(self.info)

    @property
    def security_options(self) -> dict[str, dict[str, str]]:
        """Its security options by name. See :func:`settings.security_options`."""
        return security_options(self.info)

    @fact
    def arguments(self) -> list[str]:
        """Its command line, as the kernel keeps it. :raises Unknown: it cannot be seen."""
        _ = self.pid
        text = session_of(self.host).ask(*self._first())[len(self.api.wants()) + 1].text
        found = text.removesuffix("\0").split("\0")
        if not text.endswith("\0"):
            raise Unknown(f"the command line of process {self.pid} is empty, or not whole")
        return found

    @fact
    def command_line(self) -> Flags:
        """The flags it was started with."""
        return parse_flags(self.arguments)

    @fact
    def environment(self) -> dict[str, str]:
        """The few variables of its environment that change its settings.

        :raises Unknown: it cannot be read.
        """
        _ = self.pid
        answer = session_of(self.host).ask(*self._first())[len(self.api.wants()) + 2]
        if "ermission denied" in answer.complaint:
            raise Unknown(f"the environment of process {self.pid} cannot be read (needs root)")
        if answer.exit == 2 or (answer.exit == 0 and not answer.text.endswith("\n")):
            raise Unknown(f"the environment of process {self.pid}: {answer.complaint}")
        return dict(line.partition("=")[::2] for line in answer.text.splitlines())

    @fact
    def config_file(self) -> str:
        """The path of the daemon.json in use, in the daemon's own mount namespace.

        Whether or not the file exists: the engine's default path if no flag names one.
        """
        named = self.command_line.last("config-file")
        if named:
            return self.placed(named)
        if not self.rootless:
            return "/etc/docker/daemon.json"
        environment = self.environment
        base = environment.get("XDG_CONFIG_HOME") or f"{environment.get('HOME', '')}/.config"
        return f"{base}/docker/daemon.json"

    def placed(self, path: str) -> str:
        """Return a path of a flag or of the file as the daemon takes it: from its own directory.

        :raises Unknown: it is relative, and the daemon's directory cannot be seen.
        """
        if path.startswith("/"):
            return path
        answer = session_of(self.host).ask(*self._first())[len(self.api.wants()) + 3]
        if answer.exit:
            raise Unknown(f"the working directory of process {self.pid} cannot be seen")
        return posixpath.join(answer.text, path)

    def seen(self, path: str) -> str:
        """Return the path under which the host finds a file that the daemon sees at ``path``.

        A rootless or snap engine has a mount namespace of its own.
        """
        own = self.process
        if "mnt" not in own.spaces:
            if self._root:
                raise Unknown(f"cannot see the mnt namespace of {self}")
            return path
        here = session_of(self.host).ask(HERE)[0].text.strip()
        there = "{}:{}".format(*own.namespace("mnt"))
        return path if here == there else f"/proc/{self.pid}/root{path}"

    def text(self, path: str) -> str:
        """Return the content of a file as the daemon sees it. :raises Unknown: it cannot."""
        answer = session_of(self.host).ask(read(self.seen(path)))[0]
        if answer.exit:
            raise Unknown(f"{path} cannot be read: {answer.complaint}")
        return answer.text

    @fact
    def configuration(self) -> Configuration:
        """What its daemon.json says now. :raises Unknown: it cannot be read or parsed."""
        path = self.seen(self.config_file)
        return read_configuration(path, *session_of(self.host).ask(*wants(path)))

    @property
    def stale(self) -> str:
        """Why the file may not be what the daemon read when it started; empty if it is.

        A file that is not there now may have been there then: its folder would have changed. A
        daemon itself writes there when it first starts.
        """
        file = self.configuration
        slack = SLACK if file.exists else FIRST_START
        if file.changed is None or file.changed <= self.process.started + slack:
            return ""
        what = self.config_file if file.exists else f"the folder of {self.config_file}"
        return f"{what} was changed after the engine started; restart it"

    def setting(self, name: str) -> Setting:
        """Return a setting in effect: of the daemon, else its command line, file or default.

        DOCKER_TLS_VERIFY in its environment is the default of tlsverify.

        :param name: the name of its flag, see :data:`settings.OPTIONS`.
        :raises Unknown: the sources cannot be read, or the file has changed since the start.
        """
        option = OPTIONS[name]
        said = option.daemon(self) if option.daemon else None
        if said is not None:
            return Setting(name, said, "daemon")
        on_line, _ = configured(name, self.command_line, None)
        if on_line is not None and option.kind is not list:
            return Setting(name, on_line, "command line")
        if self.stale:
            raise Unknown(f"{name}: {self.stale}")
        _, in_file = configured(name, None, self.configuration.values)
        return self._merged(name, on_line, in_file)

    def _merged(self, name: str, on_line: Any, in_file: Any) -> Setting:
        if on_line is not None:
            return Setting(name, [*on_line, *(in_file or [])], "command line")
        if in_file is not None:
            return Setting(name, in_file, "file")
        if name == "tlsverify" and self.environment.get("DOCKER_TLS_VERIFY"):
            return Setting(name, True, "environment")
        return Setting(name, OPTIONS[name].default, "default")

    def sources(self, name: str) -> dict[str, Any]:
        """Return what each source says of a setting, the strongest first; without defaults.

        :raises Unknown: a source cannot be read.
        """
        option = OPTIONS[name]
        said = option.daemon(self) if option.daemon else None
        on_line, in_file = configured(name, self.command_line, self.configuration.values)
        found = {"daemon": said, "command line": on_line, "file": in_file}
        return {source: value for source, value in found.items() if value is not None}

    @property
    def tcp(self) -> tuple[str, ...]:
        """Where it listens for TCP, as ``tcp://address:port``, by the kernel's tables.

        :raises Unknown: only root can see what the process listens on.
        """
        _ = self.pid
        if not self._root or self._tcp is None:
            raise Unknown("cannot tell what the engine listens on (needs root)")
        return self._tcp

    def answers_stranger(self, listener: str) -> bool:
        """Whether the API answers on a TCP listener without a client certificate, asked from here.

        :raises Unknown: it cannot be reached from the audit's network namespace, or the answer
            is neither a version nor a refusal.
        """
        self._same_network()
        place = listener.replace("//0.0.0.0:", "//127.0.0.1:").replace("[::]", "[::1]")
        answers = session_of(self.host).ask(*self.api.strangers(place))
        said = [self.api.answered(answer) for answer in answers]
        if not any(said) and None in said:
            raise Unknown(f"{listener}: {answers[said.index(None)].complaint}")
        return any(said)

    def _same_network(self) -> None:
        answer = session_of(self.host).ask(NETWORK)[0]
        if answer.text.strip() != "{}:{}".format(*self.process.namespace("net")):
            raise Unknown("the engine listens in a network namespace of its own")

    @property
    def hosts(self) -> tuple[str, ...]:
        """Where it was told to listen, as written: ``fd://``, ``tcp://0.0.0.0:2376`` …"""
        return tuple(self.setting("host").value)

    @property
    def unit(self) -> str | None:
        """The systemd unit that its process is part of; None if it is in none.

        A rootless engine's belongs to its user's own systemd.
        """
        for path in self.process.cgroups.values():
            for part in reversed(path.split("/")):
                if part.endswith(".service") and not part.startswith("user@"):
                    return part
        return None

    @fact
    def service(self) -> Unit | None:
        """Its systemd unit, or the unit of that name on disk if it does not run under one."""
        return self._unit(self.unit or "docker.service")

    @fact
    def socket_unit(self) -> Unit | None:
        """The socket unit that goes with its service."""
        name = (self.unit or "docker.service").removesuffix(".service")
        return self._unit(f"{name}.socket")

    def _unit(self, name: str) -> Unit | None:
        if not any("/user@" in path for path in self.process.cgroups.values()):
            return unit_named(self.host, name)
        environment = self.environment
        home = environment.get("HOME", "")
        base = environment.get("XDG_CONFIG_HOME") or f"{home}/.config"
        return user_unit_named(self.host, name, base, home)

    @property
    def unit_files(self) -> list[str]:
        """The service's fragment and drop-ins; none if there is no such unit."""
        return self.service.files if self.service else []

    @property
    def socket_unit_files(self) -> list[str]:
        """The socket unit's fragment and drop-ins; none if there is no such unit."""
        return self.socket_unit.files if self.socket_unit else []
