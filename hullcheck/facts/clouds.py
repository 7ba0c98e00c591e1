"""Whether a host is a cloud's, and how jobs could reach the cloud's metadata service.

By what the firmware says (kernel, ``/sys/class/dmi/id``), by cloud-init and by a route of its own.
Clouds answer there by HTTP, and hand out the machine's own credentials to whoever asks.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.registry import provide
from hullcheck.facts.routes import NET, STATE, Network
from hullcheck.facts.runners.agents import BuildAgent
from hullcheck.facts.texts import known, sweep, texts
from hullcheck.transport import session_of, want

__all__ = ["Cloud", "cloud", "unit_denies", "unreachable"]

_DMI = "/sys/class/dmi/id"
_NAMES = ("sys_vendor", "product_name", "board_vendor", "bios_vendor", "chassis_vendor",
          "chassis_asset_tag", "bios_version")  # fmt: skip
_CLOUD_INIT = "/run/cloud-init/cloud-id"
_XEN = "/sys/hypervisor/uuid"
MACHINE = sweep([*(f"{_DMI}/{name}" for name in _NAMES), _CLOUD_INIT, _XEN])

_USUAL, _ALIBABA, _TENCENT, _SCALEWAY = (
    "169.254.169.254", "100.100.100.200", "169.254.0.23", "169.254.42.42"
)  # fmt: skip
_VENDORS = (
    ("amazon", "Amazon EC2", _USUAL), ("google compute engine", "Google Cloud", _USUAL),
    ("7783-7084-3265-9085-8269-3286-77", "Azure", _USUAL), ("openstack", "OpenStack", _USUAL),
    ("oraclecloud", "Oracle Cloud", _USUAL), ("digitalocean", "DigitalOcean", _USUAL),
    ("hetzner", "Hetzner", _USUAL), ("vultr", "Vultr", _USUAL), ("linode", "Akamai", _USUAL),
    ("akamai", "Akamai", _USUAL), ("upcloud", "UpCloud", _USUAL), ("exoscale", "Exoscale", _USUAL),
    ("huawei cloud", "Huawei Cloud", _USUAL), ("yandex", "Yandex Cloud", _USUAL),
    ("ibm:cloud", "IBM Cloud", _USUAL), ("alibaba", "Alibaba Cloud", _ALIBABA),
    ("tencent", "Tencent Cloud", _TENCENT), ("scaleway", "Scaleway", _SCALEWAY),
)  # fmt: skip
"""What stands in the firmware's names, in small letters (cloud-init, ``ds-identify``), and where
the service answers (the clouds' own pages)."""

_CLOUD_IDS = {
    "aws": "amazon", "gce": "google compute engine", "azure":
    "7783-7084-3265-9085-8269-3286-77", "openstack": "openstack", "oracle": "oraclecloud",
    "digitalocean": "digitalocean", "hetzner": "hetzner", "vultr": "vultr", "akamai": "akamai",
    "upcloud": "upcloud", "exoscale": "exoscale", "aliyun": "alibaba", "scaleway": "scaleway",
}  # fmt: skip
"""Clouds as cloud-init names them."""

_REJECT, _UP = 0x200, 1


@dataclass(frozen=True, slots=True)
class Cloud:
    """:param name: empty if nothing names one.

    :param address: where its metadata service answers.
    :param told: whether the host's firmware says anything at all.
    """

    name: str
    address: str
    told: bool

    def __str__(self) -> str:
        return self.name


@provide
def cloud(host: Host) -> Cloud:
    """Whose the host is."""
    found = texts(session_of(host).ask(MACHINE)[0])
    said = {path: known(text) or "" for path, text in found.items()}
    names = " ".join(text.lower() for path, text in said.items() if path.startswith(_DMI))
    told = bool(names.strip())
    if said.get(_XEN, "").lower().startswith("ec2"):
        names += " amazon"
    names += " " + _CLOUD_IDS.get(said.get(_CLOUD_INIT, "").strip(), "")
    for mark, name, address in _VENDORS:
        if mark in names:
            return Cloud(name, address, told)
    return Cloud("", _USUAL, told)


def unreachable(host: Host, network: Network, address: str) -> str:
    """Return why no packet leaves for an address, or nothing; of IPv4's main table."""
    text = known(texts(session_of(host).ask(STATE)[0]).get(f"{NET}/route"))
    if text is None:
        raise Unknown("/proc does not tell the host's routes")
    target = int(ipaddress.IPv4Address(address))
    device = network.onward(4, target)
    if device == "*" or _rejected(text, target):
        return f"a route refuses {address}"
    return "" if device else f"no route leads to {address}"


def _rejected(text: str, target: int) -> bool:
    """Whether the route that fits an address best is one that rejects."""
    best: tuple[int, bool] = (-1, False)
    for line in text.splitlines()[1:]:
        row = line.split()
        try:
            place, mask = (int.from_bytes(bytes.fromhex(row[at])[::-1], "big") for at in (1, 7))
            flags = int(row[3], 16)
        except (ValueError, IndexError):
            raise Unknown(f"a line of {NET}/route makes no sense: {line[:60]!r}") from None
        if target & mask == place and flags & _UP and mask.bit_count() > best[0]:
            best = mask.bit_count(), bool(flags & _REJECT)
    return best[1]


_UNIT = re.compile(r"/([A-Za-z0-9:_.@\\-]+\.(?:service|scope|slice))(?=/|\Z)")


def unit_denies(host: Host, agent: BuildAgent, address: str) -> bool:
    """Whether systemd lets nothing of an agent's unit reach an address (IPAddressDeny of
    systemd.resource-control(5)); the rules of all slices above count too."""
    paths = agent.process.cgroups
    path = paths.get("") or paths.get("name=systemd", "")
    units = _UNIT.findall(path)
    if not units:
        return False
    quoted = " ".join(f"'{each}'" for each in units)
    asked = want(
        "[ ! -d /run/systemd/system ] || systemctl show -p IPAddressDeny -p IPAddressAllow"
        f" -- {quoted}",
        meaning=(0, 1, 127),
    )
    text = session_of(host).ask(asked)[0].text
    return any(_denied(each.splitlines(), address) for each in text.split("\n\n"))


def _denied(lines: Iterable[str], address: str) -> bool:
    said = dict(line.partition("=")[::2] for line in lines)
    return _holds(said.get("IPAddressDeny", ""), address) and not _holds(
        said.get("IPAddressAllow", ""), address
    )


def _holds(networks: str, address: str) -> bool:
    """Whether one of some networks has an address; what is none has not."""
    target = ipaddress.ip_address(address)
    for each in networks.split():
        try:
            if target in ipaddress.ip_network(each, strict=False):
                return True
        except ValueError:
            continue
    return False
