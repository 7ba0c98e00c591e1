"""A site's own values, which controls judge by."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Policy"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a site allows. A value of None means that the site has not said.

    :param trusted_users: accounts that may reach an engine, which makes them root.
    :param insecure_registries: registries that may be spoken to without TLS.
    :param log_drivers: log drivers that send container logs off the host, beyond the known ones.
    :param authorization_plugins: authorization plugins of which at least one must be in use.
    :param cgroup_parents: cgroup parents that containers may run under.
    """

    trusted_users: tuple[str, ...] | None = None
    insecure_registries: tuple[str, ...] = ()
    log_drivers: tuple[str, ...] = ()
    authorization_plugins: tuple[str, ...] | None = None
    cgroup_parents: tuple[str, ...] = ()
