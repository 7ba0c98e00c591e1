"""Docker engines: found by what they hold open, asked themselves, and their settings merged."""

from hullcheck.facts.docker.api import Api
from hullcheck.facts.docker.configuration import Configuration
from hullcheck.facts.docker.engine import DockerEngine
from hullcheck.facts.docker.search import Engines, Nested, docker, engines
from hullcheck.facts.docker.settings import Setting
from hullcheck.facts.docker.units import Unit

__all__ = [
    "Api",
    "Configuration",
    "DockerEngine",
    "Engines",
    "Nested",
    "Setting",
    "Unit",
    "docker",
    "engines",
]
