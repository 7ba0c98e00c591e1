"""The packet filter as the kernel has it: nftables, iptables of both kinds, IPv4 and IPv6."""

from hullcheck.facts.packet_filter.evaluate import Fate
from hullcheck.facts.packet_filter.loaders import Loaders, filter_loaders
from hullcheck.facts.packet_filter.ruleset import PacketFilter, Published
from hullcheck.facts.packet_filter.source import packet_filter

__all__ = ["Fate", "Loaders", "PacketFilter", "Published", "filter_loaders", "packet_filter"]
