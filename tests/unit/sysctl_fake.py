"""What hosts say of their settings after the next boot, and of their network interfaces."""

from __future__ import annotations

from collections.abc import Mapping

from hullcheck.facts.distribution import FALLBACK, OS_RELEASE
from hullcheck.facts.interfaces import CONF, DEVICES, SETTINGS
from hullcheck.facts.sysctl import ELSEWHERE
from hullcheck.facts.sysctl_files import ASKED, BOOTED, CONTENTS, DIRECTORIES, LISTED, READER
from tests.unit.fake import Reply

ABSENT = "No such file or directory"
FORWARDING = {"forwarding": "1", "accept_redirects": "0"}
KERNELS_OWN = {
    "ipv4": {
        "accept_redirects": "1", "accept_source_route": "1", "forwarding": "0",
        "log_martians": "0", "route_localnet": "0", "rp_filter": "0", "send_redirects": "1",
    },
    "ipv6": {
        "accept_ra": "1", "accept_redirects": "1", "accept_source_route": "0",
        "disable_ipv6": "0", "forwarding": "0",
    },
}  # fmt: skip
"""As Linux sets them; accept_source_route of ``all`` is 0."""


USUAL = {
    "/usr/lib/sysctl.d/50-default.conf":
    "kernel.kptr_restrict = 1\nfs.protected_fifos = 1\nfs.protected_regular = 1\n",
}  # fmt: skip
"""What most distributions bring."""


def after_boot(
    files: Mapping[str, str] | None = None,
    elsewhere: Mapping[str, str] | None = None,
    *,
    denied: tuple[str, ...] = (),
    reader: Mapping[str, str] | None = None,
    os_release: str = "ID=debian\n",
) -> dict[str, Reply]:
    """What a host answers that has these files of sysctl.d, by path.

    :param denied: files that are there and cannot be read.
    :param reader: what there is of those that READER asks for, and where it leads to.
    """
    found = {BOOTED: ""} if reader is None else reader
    given = USUAL if files is None else files
    listed = [each for each in (*given, *denied) if each.startswith(DIRECTORIES)]
    out = "".join(
        f"{path}:{line}\n" for path, text in given.items() for line in text.split("\n") if text
    )
    hidden = "".join(f"grep: {path}: Permission denied\n" for path in denied)
    said = "".join(f"'{path}'{f' -> {target!r}' if target else ''}\n"
                   for path, target in found.items())  # fmt: skip
    missing = [each for each in ASKED if each not in found]
    lines = "".join(f"{path}:{line}\n" for path, text in (elsewhere or {}).items()
                    for line in text.split("\n"))  # fmt: skip
    return {
        LISTED.command: (
            1,
            "".join(f"{each}\0" for each in listed),
            f"find: '/run/sysctl.d': {ABSENT}\n",
        ),
        CONTENTS.command: (2, out, f"{hidden}grep: /run/sysctl.d/*.conf: {ABSENT}\n"),
        READER.command: (
            1 if missing else 0,
            said,
            "".join(f"stat: cannot statx '{each}': {ABSENT}\n" for each in missing),
        ),
        ELSEWHERE.command: (2, lines, f"grep: /etc/rc.local: {ABSENT}\n"),
        OS_RELEASE.command: os_release,
        FALLBACK.command: (1, ""),
    }


def devices(**kinds: str) -> str:
    """What DEVICES reads of interfaces, given as name=kind: card, bridge, wire, down …

    A bridge is ``bridge`` or, with its ports, ``bridge veth1 veth2``.
    """
    out = ""
    for number, (name, kind) in enumerate({"lo": "card", **kinds}.items(), 1):
        what, *ports = kind.split()
        kinds_known = ("bridge", "vlan", "vxlan", "wlan", "bond", "macvlan")
        devtype = f"DEVTYPE={what}\n" if what in kinds_known else ""
        uevent = f"{devtype}INTERFACE={name}\nIFINDEX={number}"
        out += "".join(f"/sys/class/net/{name}/uevent:{line}\n" for line in uevent.split("\n"))
        out += f"/sys/class/net/{name}/flags:{'0x1002' if what == 'down' else '0x1003'}\n"
        out += f"/sys/class/net/{name}/iflink:{90 if what in ('wire', 'vlan') else number}\n"
        out += "".join(f"/sys/class/net/{name}/brif/{each}/port_no:0x1\n" for each in ports)
    return out


def network(
    names: Mapping[str, str], *, ipv6: bool = True, **settings: Mapping[str, str]
) -> dict[str, Reply]:
    """What a host answers that has these interfaces.

    :param names: name -> kind, as ``devices`` takes them.
    :param settings: by interface (with ``all`` and ``default``) ``"ipv4/rp_filter": "1"`` …;
        what is left out is as the kernel has it.
    """
    out = ""
    for family, known in SETTINGS.items():
        if family == "ipv6" and not ipv6:
            continue
        for each in ("all", "default", "lo", *names):
            values = {**KERNELS_OWN[family]}
            if each == "all":
                values["accept_source_route"] = "0"
            given = settings.get(each, {})
            values.update({key.split("/")[1]: value for key, value in given.items()
                           if key.startswith(family)})  # fmt: skip
            out += "".join(
                f"/proc/sys/net/{family}/conf/{each}/{name}:{values[name]}\n" for name in known
            )
    missing = "" if ipv6 else f"grep: /proc/sys/net/ipv6/conf/*/forwarding: {ABSENT}\n"
    no_ports = f"grep: /sys/class/net/*/brif/*/port_no: {ABSENT}\n"
    return {
        CONF.command: (2 if missing else 0, out, missing),
        DEVICES.command: (2, devices(**names), no_ports),
    }
