"""What keeps a container's log from filling the disk: the limits in effect, and the defaults.

json-file without ``max-size`` grows for ever; ``local`` is bounded by itself; what is handed to
another service is that one's to bound (docs.docker.com, logging drivers).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.containers import Container
from hullcheck.facts.engines import DockerAsEngine, Engine
from hullcheck.facts.podman.engine import Podman
from hullcheck.facts.processes import Gone, Process, Processes
from hullcheck.facts.registry import get
from hullcheck.facts.services import BOOTED
from hullcheck.transport import session_of

__all__ = ["BOUNDED", "UNBOUNDED", "docker_bound", "limit_of", "new_bound"]

UNBOUNDED, BOUNDED = "unlimited", "bounded"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgtp]?)i?b?", re.IGNORECASE)
_IN_FILES = ("json-file", "k8s-file")
_ELSEWHERE = ("journald", "none", "null", "off", "passthrough", "passthrough-tty", "syslog")
"""What else conmon(8) knows."""


def docker_bound(driver: str, options: Mapping[str, Any]) -> str:
    """Return the limit of a log of Docker's: a size, "bounded" or "unlimited".

    :raises NotApplicable: the driver writes no file of the engine's own.
    :raises Unknown: the limit is no size.
    """
    size = str(options.get("max-size") or "").strip()
    if driver == "local":
        return size or BOUNDED
    if driver != "json-file":
        raise NotApplicable(f"log driver {driver} hands the log to another service, or drops it")
    if not size or size.startswith("-"):
        return UNBOUNDED
    if not _SIZE.fullmatch(size):
        raise Unknown(f"max-size is {size[:40]!r}, which is no size")
    return size


def limit_of(container: Container) -> str:
    """Return the limit of a container's log, as :func:`docker_bound` does.

    :raises NotApplicable: it writes none of its own. :raises Unknown: it cannot be told.
    """
    if container.docker is not None:
        told = container.asked("LogConfig", {})
        driver = told.get("Type") if isinstance(told, Mapping) else None
        if not isinstance(driver, str) or not driver:
            raise Unknown("the engine does not tell the container's log driver")
        return docker_bound(driver, told.get("Config") or {})
    container.need_running()
    processes: Processes = get(container.host, "processes")
    parent = processes.get(container.init.ppid)
    if container.keeper.kind == "cri-o" or parent is None or parent.name != "conmon":
        if container.keeper.kind == "podman":
            raise Unknown("the process that writes the container's log is not to be seen")
        raise NotApplicable(f"{container.keeper} leaves logs to who asked for the container")
    return _of_conmon(container, parent)


def _of_conmon(container: Container, parent: Process) -> str:
    """conmon(8) writes the log of a container of Podman's, as its command line says."""
    words = _words(parent)
    if container.id not in words:
        raise Unknown(f"process {parent} does not say that it writes this container's log")
    pairs = list(zip(words, [*words[1:], ""], strict=True))
    drivers = {value.partition(":")[0] for name, value in pairs if name in ("-l", "--log-path")}
    if not drivers or drivers - {*_IN_FILES, *_ELSEWHERE}:
        raise Unknown(f"process {parent} does not say where it writes the container's log")
    if not drivers & set(_IN_FILES):
        raise NotApplicable(f"its log goes to {', '.join(sorted(drivers))}")
    sizes = [value for name, value in pairs if name in ("--log-size-max", "--log-size-global-max")]
    return next((each for each in sizes if each.isdecimal() and each != "0"), UNBOUNDED)


def _words(process: Process) -> list[str]:
    try:
        return process.cmdline
    except Gone:
        return []


def new_bound(engine: Engine) -> str:
    """Return the limit of the log of a container that does not say, as above."""
    if isinstance(engine, DockerAsEngine):
        driver = str(engine.docker.setting("log-driver").value)
        return docker_bound(driver, engine.docker.setting("log-opt").value)
    if isinstance(engine, Podman):
        return _of_podman(engine)
    raise NotApplicable(
        f"{engine.kind} leaves logs to a kubelet, which keeps five files of 10 MiB unless it is"
        " told otherwise"
    )


def _of_podman(engine: Podman) -> str:
    size = int(engine.settings.get("log_size_max", -1).value)
    driver = str(engine.settings.get("log_driver", "").value)
    if size > 0:
        return str(size)
    if driver in _IN_FILES:
        return UNBOUNDED
    if not driver and not _systemd(engine.host):
        return UNBOUNDED
    raise NotApplicable(f"new containers log to {driver or 'journald'}, which has its own limits")


def _systemd(host: Host) -> bool:
    """Whether Podman takes journald where nobody says otherwise: if systemd runs the host."""
    answer = session_of(host).ask(BOOTED)[0]
    if answer.exit == 0 and answer.text.strip() == "/run/systemd/system":
        return True
    if answer.exit and answer.complaint.endswith("No such file or directory"):
        return False
    raise Unknown("it cannot be told whether systemd runs the host")
