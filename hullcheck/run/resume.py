"""Going on with a run that was interrupted: the same hosts, controls, site values and clock.

While a run is not finished, ``targets.json`` says how its hosts are reached. Passwords are not in
it: whoever gave one has to start again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hullcheck import catalogue
from hullcheck.run.audit import Plan, Subject
from hullcheck.run.directory import TARGETS, read_document, read_run, replace_text
from hullcheck.run.site import read_site
from hullcheck.transport.target import Target

__all__ = ["keep_targets", "unfinished"]


def keep_targets(path: Path, subjects: Iterable[Subject]) -> None:
    """Note in a run directory how its hosts are reached."""
    lines = ",\n".join(json.dumps(_document(each.target)) for each in subjects)
    replace_text(path / TARGETS, f"[\n{lines}\n]")


def unfinished(path: Path) -> tuple[list[Subject], Plan]:
    """Return what is left to audit of an interrupted run, and by which plan.

    :raises ValueError: there is nothing to go on with, or not with this version.
    """
    run, site = read_run(path), read_site(path)
    if run.finished:
        raise ValueError(f"{path} is finished: there is nothing to go on with")
    try:
        targets = json.loads((path / TARGETS).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{path} has no {TARGETS}: only hullcheck audit can be gone on with"
                         ) from None  # fmt: skip
    known = catalogue.all_controls()
    names = [each["id"] for each in read_document(path)["controls"]]
    controls = tuple(known[each] for each in names if each in known)
    if catalogue.digest(controls) != run.controls_digest:
        raise ValueError(f"{path} was begun with other controls than these; start a new run")
    done = {host.name for host in run.hosts}
    left = [_target(each, path) for each in targets if each["name"] not in done]
    subjects = [
        Subject(each, site.policies[each.name], site.roles.get(each.name, ())) for each in left
    ]
    started = datetime.strptime(run.started, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return subjects, Plan(controls, started, site.waivers, site.attestations)


def _document(target: Target) -> dict[str, Any]:
    values = asdict(target)
    values["password"] = target.password is not None
    return {key: _json(value) for key, value in values.items()}


def _json(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    return str(value) if isinstance(value, Path) else value


def _target(values: dict[str, Any], path: Path) -> Target:
    known = {key: _tuple(value) for key, value in values.items()}
    if known.pop("password"):
        raise ValueError(
            f"{path}: host {known['name']} was named with a password, which is not kept; start a"
            " new run, or use a key"
        )
    known["identity_file"] = tuple(map(Path, known["identity_file"]))
    return Target(**known)


def _tuple(value: Any) -> Any:
    return tuple(map(_tuple, value)) if isinstance(value, list) else value
