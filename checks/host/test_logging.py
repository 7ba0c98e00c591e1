"""Whether what happened on a host can still be read tomorrow, and by whom."""

from __future__ import annotations

from hullcheck.control import Manual, Unknown, control, expect
from hullcheck.facts.container_logs import BOUNDED, UNBOUNDED, limit_of, new_bound
from hullcheck.facts.containers import Container
from hullcheck.facts.engines import Engine
from hullcheck.facts.loggers import JOURNALD, Loggers
from hullcheck.facts.running import running_programs
from hullcheck.inventory.policy import Policy
from hullcheck.transport import CannotAnswer


@control(
    title="The host's log outlives a restart",
    severity="medium",
    level=1,
    fix="mkdir -p /var/log/journal and set Storage=persistent in /etc/systemd/journald.conf.d/"
    "hullcheck.conf, then journalctl --flush; or let rsyslog write auth and all else to files.",
)
def test_logs_persistent(loggers: Loggers) -> None:
    """A log in memory is gone with the first restart, and an intruder who is done restarts the
    host. What counts is where the log of this machine lies now and is configured to lie, and
    that this place is a disk."""
    lost: list[str] = []
    doubts: list[str] = [loggers.sight.doubt] * bool(loggers.sight.doubt)
    if loggers.runs(JOURNALD):
        try:
            trouble = loggers.journal.trouble
            if not trouble and not loggers.on_disk(loggers.journal.kept):
                trouble = f"{loggers.journal.kept} is in memory"
            if not trouble:
                expect(trouble, equals="", what="the journal")
                return
            lost.append(trouble)
        except (Unknown, CannotAnswer) as reason:
            doubts.append(str(reason))
    routes, doubt = loggers.told
    doubts += [doubt] * bool(doubt)
    kept = [str(each) for each in routes if each.whole and loggers.lasting(each)]
    if kept:
        expect(kept, contains=kept[0], what="files of the log")
    elif doubts:
        raise Unknown(doubts[0])
    else:
        expect(lost or ["nothing keeps the host's log"], equals=[], what="the host's log")


@control(
    title="The host's log is sent to another host",
    severity="medium",
    level=2,
    fix='Add *.* action(type="omfwd" target="LOGHOST" port="6514" protocol="tcp") to a '
    "file in /etc/rsyslog.d, or URL= to /etc/systemd/journal-upload.conf and start "
    "systemd-journal-upload; name another program that does it in log_forwarders in the policy.",
)
def test_logs_remote(loggers: Loggers, policy: Policy) -> None:
    """Whoever becomes root on a host writes its log anew. Only what has left it by then still
    tells how he came in. Logins must be among what is sent; a forwarder whose settings are not
    read here is for a person to look at, or for the site to name."""
    remote = loggers.remote
    whole = [str(each) for each in remote if each.whole]
    agents = [each for each in loggers.sight.found if each not in loggers.daemons]
    agents = [each for each in agents if loggers.reads_logs(each)]
    named = [
        str(each)
        for each in running_programs(loggers.host, policy.log_forwarders).found
        if each.of_host or (each.contained and loggers.reads_logs(each))
    ]
    if whole or named:
        expect([*whole, *named], contains=(whole + named)[0], what="ways of the log off the host")
        return
    seen = [*map(str, remote), *map(str, agents)]
    seen += [str(each) for each in loggers.told[0] if each.kind == "program"]
    if seen:
        raise Manual(
            "see that the host's log, logins among it, is sent to another host: what may do it is"
            f" {', '.join(seen[:3])}", seen,
        )  # fmt: skip
    if loggers.told[1]:
        raise Unknown(loggers.told[1])
    expect([], contains="another host", what="ways of the log off the host")


@control(
    title="A container's log cannot fill the disk",
    severity="medium",
    level=1,
    fix="Set log-driver local, or json-file with log-opts max-size=10m and max-file=3, in "
    "daemon.json and create the container anew: one that is there keeps what it was made with.",
)
def test_container_log_bounded(container: Container) -> None:
    """Whatever a container prints is written to the host's disk, as root, without a quota. A
    program in a loop, or an attacker who makes it print, fills that disk and stops every other
    container and the host's own log."""
    limit = limit_of(container)
    _expect_bounded(limit, "size of the log")


@control(
    title="Containers get a log that cannot fill the disk unless they say otherwise",
    severity="low",
    level=1,
    fix="In daemon.json set log-driver local, or log-opts max-size=10m and max-file=3; for "
    "Podman set log_size_max in containers.conf.",
)
def test_engine_log_bounded(engine: Engine) -> None:
    """Nobody thinks of the log's size when a container is started. The engine's own default
    keeps everything that is printed, for as long as the container lives."""
    limit = new_bound(engine)
    _expect_bounded(limit, "size of a new container's log")


def _expect_bounded(limit: str, what: str) -> None:
    expect(limit if limit == UNBOUNDED else BOUNDED, equals=BOUNDED, what=what)
