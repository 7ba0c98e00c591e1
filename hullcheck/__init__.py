"""Hullcheck audits the hosts and engines that carry containers, over SSH, with proof."""

__version__ = "0.1.0"
