"""Programs that watch a host for what intruders do, and whether they can see it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.facts.processes import Process
from hullcheck.facts.registry import get
from hullcheck.facts.running import Running, running_programs

__all__ = ["SENSORS", "Watchers", "watchers"]

SENSORS = (
    "falco", "tetragon", "tracee", "tracee-ebpf", "kubearmor", "osqueryd", "auditbeat",
    "wazuh-syscheckd", "wazuh-logcollector", "ossec-syscheckd", "sysmon", "elastic-endpoint",
    "dragent", "sysdig-agent", "falcon-sensor", "falcon-sensor-bpf", "falcond", "wdavdaemon",
    "s1-agent", "sentineld", "cbagentd", "cbdaemon", "ds_agent", "ds_am", "xagt", "twistlock",
    "defender", "system-probe", "security-agent", "bdsecd", "kesl", "trellix-agent", "taegis",
    "uptycs-osqueryd", "cortex-xdr", "traps_pmd", "sophos_threat_detector",
)  # fmt: skip

RIGHTS = frozenset({
    "CAP_SYS_ADMIN", "CAP_BPF", "CAP_SYS_PTRACE", "CAP_AUDIT_CONTROL", "CAP_AUDIT_READ",
})  # fmt: skip
"""One of these, in the host's own user namespace, is what it takes to see other processes."""


@dataclass(frozen=True, slots=True)
class Watchers:
    """:param found: sensors that run and may see the host; ``blind``: those that may not.
    :param doubt: why there may be more.
    """

    found: tuple[Running, ...]
    blind: tuple[Running, ...]
    doubt: str


def watchers(host: Host, also: Iterable[str] = ()) -> Watchers:
    """Return the sensors of a host.

    A name alone is nothing: who owns a container can call a program falco. Without rights over
    the host it sees nothing, and with them its owner has the host already.

    :raises Unknown: processes are hidden.
    """
    sight = running_programs(host, [*SENSORS, *also])
    first = get(host, "processes").get(1)
    seeing = tuple(each for each in sight.found if _sees(each.process, first))
    blind = tuple(each for each in sight.found if each not in seeing)
    return Watchers(seeing, blind, sight.doubt)


def _sees(process: Process, first: Process | None) -> bool:
    here, there = process.spaces.get("user"), first.spaces.get("user") if first else None
    if here is not None and there is not None and here != there:
        return False
    return bool(RIGHTS & process.caps.permitted)
