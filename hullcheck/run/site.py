"""What hosts were judged by: written beside a run, so that it can be judged again.

``site.json`` holds each host's role and those policy values that differ from the defaults, and
the waivers and attestations.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from hullcheck.inventory.attestations import Attestation
from hullcheck.inventory.policy import Policy
from hullcheck.inventory.waivers import Waiver

__all__ = ["SiteRecord", "read_site", "site_document"]


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """The site values of a run.

    :param started: of a run that was put together, by host: when its part began, which is the
        time its verdicts know.
    """

    policies: dict[str, Policy] = field(default_factory=dict)
    roles: dict[str, tuple[str, ...]] = field(default_factory=dict)
    waivers: tuple[Waiver, ...] = ()
    attestations: tuple[Attestation, ...] = ()
    started: dict[str, str] = field(default_factory=dict)


def site_document(record: SiteRecord) -> dict[str, Any]:
    """Return the record as JSON data."""
    defaults = dataclasses.asdict(Policy())
    hosts = {
        name: {
            "role": record.roles.get(name, ()),
            "policy": {
                key: value
                for key, value in dataclasses.asdict(policy).items()
                if value != defaults[key]
            },
            **({"started": record.started[name]} if name in record.started else {}),
        }
        for name, policy in record.policies.items()
    }
    return {
        "hosts": hosts,
        "waivers": [_dated(each) for each in record.waivers],
        "attestations": [_dated(each) for each in record.attestations],
    }


def _dated(entry: Waiver | Attestation) -> dict[str, Any]:
    values = dataclasses.asdict(entry)
    return {
        key: value.isoformat() if isinstance(value, date) else value
        for key, value in values.items()
    }


def read_site(path: Path) -> SiteRecord:
    """Read ``site.json`` of a run directory.

    :raises ValueError: it is missing or damaged.
    """
    try:
        document = json.loads((path / "site.json").read_text(encoding="utf-8"))
        hosts = document["hosts"]
        return SiteRecord(
            {name: _policy(each["policy"]) for name, each in hosts.items()},
            {name: _role(each["role"]) for name, each in hosts.items()},
            tuple(_waivers(document["waivers"])),
            tuple(_attestations(document.get("attestations", ()))),
            {name: each["started"] for name, each in hosts.items() if "started" in each},
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path / 'site.json'} cannot be read: {error}") from error


def _role(value: str | list[str]) -> tuple[str, ...]:
    """Return a role; before a host could have several, it was one word."""
    return tuple(value.split()) if isinstance(value, str) else tuple(value)


def _policy(values: dict[str, Any]) -> Policy:
    made: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
    return Policy(**made)


def _waivers(documents: Iterable[dict[str, Any]]) -> Iterable[Waiver]:
    for each in documents:
        yield Waiver(**{**each, "expires": date.fromisoformat(each["expires"])})


def _attestations(documents: Iterable[dict[str, Any]]) -> Iterable[Attestation]:
    for each in documents:
        days = {key: date.fromisoformat(each[key]) for key in ("when", "expires")}
        yield Attestation(**{**each, **days})
