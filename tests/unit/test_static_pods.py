"""Static pods, from manifests as they are written."""

from __future__ import annotations

import json

import pytest

from hullcheck.control import all_controls
from hullcheck.facts import get
from hullcheck.facts.conf_files import conf_want
from hullcheck.facts.kubernetes.static_pods import pods_in
from hullcheck.control import Unknown
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from hullcheck.verdict import Status
from tests.unit.test_kubernetes_components import node
