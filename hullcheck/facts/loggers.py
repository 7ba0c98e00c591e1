"""Who keeps a host's log, where, and to which other host it is sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.conf_files import ConfFiles, conf_files, conf_want, settings_of
from hullcheck.facts.journal import DIRECTORIES, FILES, MACHINE, Journal, journal_of
from hullcheck.facts.log_routes import FILE, REMOTE, Route, elsewhere, host_of_target, selects
from hullcheck.facts.mounts import MountTable, covering, parse_mountinfo, place_of, within
from hullcheck.facts.processes import Gone
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.rsyslog import legacy_routes, rsyslog_routes
from hullcheck.facts.running import BOXES, Running, Sight, running_programs
from hullcheck.facts.syslog_ng import syslog_ng_routes
from hullcheck.transport import CannotAnswer, session_of, want

__all__ = ["AGENTS", "Loggers", "loggers"]

JOURNALD, UPLOAD = "systemd-journald", "systemd-journal-upload"
DAEMONS = (JOURNALD, UPLOAD, "rsyslogd", "syslog-ng", "syslogd")
AGENTS = frozenset({
    "fluent-bit", "td-agent-bit", "vector", "filebeat", "journalbeat", "elastic-agent", "promtail",
    "alloy", "grafana-agent", "otelcol", "otelcol-contrib", "otelcol-sumo", "splunkd", "nxlog",
    "amazon-cloudwatch-agent", "newrelic-infra", "wazuh-logcollector", "ossec-logcollector",
    "ir_agent", "cribl", "vlagent", "observiq-otel-collector", "google_cloud_ops_agent_engine",
    "amacoreagent", "mdsd", "scalyr-agent-2", "logdna-agent", "telegraf", "metalog", "socklog",
})  # fmt: skip
SCRIPTS = frozenset({"fluentd", "td-agent", "logstash"})
"""Programs that may send logs off; what they are told is their own, and is not read."""

_PLACES = (
    *(f"{place}/{name}{end}" for place in DIRECTORIES
      for name in ("journald.conf", "journal-upload.conf") for end in ("", ".d")),
    "/etc/rsyslog.conf", "/etc/rsyslog.d", "/run/rsyslog", "/etc/syslog-ng",
    "/etc/syslog-ng/conf.d", "/etc/syslog.conf", "/etc/syslog.d",
)  # fmt: skip
CONFIGURED = conf_want(_PLACES, ("*.conf", "*.frule", "*.rsyslog"))
NAME = want("cat /proc/sys/kernel/hostname")

MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
OWN_LOGS = ("/var/log", "/run/log/journal")
LOGS = (*OWN_LOGS, "/var/lib/docker/containers")


@dataclass(frozen=True)
class Loggers:
    """What keeps the host's log.

    :param sight: the daemons and agents that run.
    """

    host: Host = field(repr=False)
    files: ConfFiles = field(repr=False)
    sight: Sight
    name: str

    @property
    def daemons(self) -> list[Running]:
        """Those of the host that take its messages."""
        return [each for each in self.sight.named(DAEMONS) if each.of_host]

    def runs(self, name: str) -> bool:
        return any(each.name == name for each in self.daemons)

    @fact
    def journal(self) -> Journal:
        """systemd's journal. :raises Unknown: where it lies cannot be seen."""
        return journal_of(self.host, self.files)

    @fact
    def told(self) -> tuple[list[Route], str]:
        """Where the daemons send messages, and why there may be more."""
        found: list[Route] = []
        doubt = self.sight.doubt
        for each in self.daemons:
            reader = READERS.get(each.name)
            try:
                found += reader(self, each) if reader else []
            except (Unknown, CannotAnswer) as reason:
                doubt = str(reason)
        return found, doubt

    @property
    def remote(self) -> list[Route]:
        """The routes to other hosts."""
        own = {self.name.lower(), self.name.lower().partition(".")[0]}
        return [
            each for each in self.told[0] if each.kind == REMOTE and elsewhere(each.target, own)
        ]

    def lasting(self, route: Route) -> bool:
        """Whether a route ends in a file that outlives a restart."""
        if route.kind != FILE or not route.target.startswith("/") or not self.on_disk(route.target):
            return False
        return bool(get(self.host, "files").get(route.target).exists)

    def on_disk(self, path: str) -> bool:
        """Whether a path is on a file system that outlives a restart."""
        mount = covering(get(self.host, "mounts"), path)
        return mount is not None and mount.fstype not in MEMORY

    def reads_logs(self, agent: Running) -> bool:
        """Whether an agent can see the host's logs: one in a container must have them mounted."""
        if not agent.contained:
            return True
        command = f"cat /proc/{agent.process.pid}/mountinfo"
        answer = session_of(self.host).ask(want(command, meaning=(0, 1)))[0]
        if answer.exit:
            return False
        host: MountTable = get(self.host, "mounts")
        return any(
            mount.device == place.device and _shows(mount.root, place.path, path)
            for path in LOGS
            if (place := place_of(host, path))
            for mount in parse_mountinfo(answer.text)
        )


def _shows(root: str, place: str, path: str) -> bool:
    """Whether a mount of a directory shows logs: of the engine's files every container has some."""
    return within(place, root) or (path in OWN_LOGS and within(root, place))


@provide
def loggers(host: Host) -> Loggers:
    """Who keeps the host's log.

    :raises Unknown: processes are hidden.
    """
    session = session_of(host)
    session.foresee(CONFIGURED, FILES, MACHINE, NAME)
    _ = get(host, "mounts")
    sight = running_programs(host, [*DAEMONS, *AGENTS], SCRIPTS)
    return Loggers(host, conf_files(host, CONFIGURED), sight, session.ask(NAME)[0].text.strip())


def _words(daemon: Running) -> list[str]:
    try:
        return daemon.process.cmdline
    except Gone:
        return []


def _option(daemon: Running, *names: str) -> str:
    """Return the last value of an option: ``-f FILE``, ``-fFILE`` or ``--name=FILE``."""
    value = ""
    for word, following in pairwise([*_words(daemon)[1:], ""]):
        for name in names:
            if word == name:
                value = following
            elif word.startswith(name) and (name.endswith("=") or not name.startswith("--")):
                value = word[len(name) :]
    return value


def _rsyslog(found: Loggers, daemon: Running) -> list[Route]:
    return rsyslog_routes(found.files, _option(daemon, "-f") or "/etc/rsyslog.conf")


def _syslog_ng(found: Loggers, daemon: Running) -> list[Route]:
    path = _option(daemon, "-f", "--cfgfile", "--cfgfile=")
    return syslog_ng_routes(found.files, path or "/etc/syslog-ng/syslog-ng.conf")


def _upload(found: Loggers, daemon: Running) -> list[Route]:
    layers = found.files.layered("journal-upload.conf", DIRECTORIES)
    url = _option(daemon, "-u", "--url", "--url=") or settings_of(layers, "Upload").get("URL", "")
    return [Route(REMOTE, host_of_target(url), True, "journal-upload")] if url else []


def _syslogd(found: Loggers, daemon: Running) -> list[Route]:
    """busybox takes all by its command line; others have a file like that of the first syslogd."""
    if daemon.path.rpartition("/")[2] in BOXES:
        return list(_of_busybox(daemon))
    path = _option(daemon, "-f") or "/etc/syslog.conf"
    text = found.files.text(path)
    if text is None:
        raise Unknown(f"{path} is not to be found, and syslogd runs")
    more = (found.files.text(each) or "" for each in found.files.matching("/etc/syslog.d/*.conf"))
    return [each for one in (text, *more) for each in legacy_routes(one, "syslogd", selects)]


def _of_busybox(daemon: Running) -> Iterator[Route]:
    remote, path = _option(daemon, "-R"), _option(daemon, "-O") or "/var/log/messages"
    words = _words(daemon)[1:]
    if remote:
        yield Route(REMOTE, host_of_target(remote), True, "syslogd")
    buffered = any(each.startswith("-C") for each in words)
    if not buffered and (not remote or "-L" in words):
        yield Route(FILE, path, True, "syslogd")


READERS: dict[str, Callable[[Loggers, Running], list[Route]]] = {
    "rsyslogd": _rsyslog, "syslog-ng": _syslog_ng, UPLOAD: _upload, "syslogd": _syslogd,
}  # fmt: skip
