"""The fleet as plain testinfra audits it: a test for each control and host, run by bench.fleet."""

from __future__ import annotations

import functools
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from testinfra.host import Host

from bench.plain import PlainWire
from hullcheck.catalogue import all_controls
from hullcheck.judge import Site, judge
from hullcheck.transport import Session, host_of

HOSTS = os.environ.get("BENCH_HOSTS", "").split()
CONTROLS = all_controls()


@functools.cache
def connected(name: str) -> Host:
    """Connect to a host once; each command is asked once."""
    wire = PlainWire(name, Path(os.environ["BENCH_SSH_CONFIG"]))
    return host_of(Session(wire), name, "paramiko")


@pytest.mark.parametrize("control", CONTROLS)
@pytest.mark.parametrize(
    "name", [pytest.param(each, marks=pytest.mark.xdist_group(each)) for each in HOSTS]
)
def test_control(name: str, control: str) -> None:
    """Judge; whatever comes of it, it was asked."""
    started = datetime(2026, 11, 29, tzinfo=UTC)
    judge(CONTROLS[control], connected(name), Site(name, started=started))
