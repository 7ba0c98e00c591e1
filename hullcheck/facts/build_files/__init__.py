"""The files that builds are made by: Dockerfiles, compose files, pipelines, manifests."""

# Importing a module registers what it provides.
from hullcheck.facts.build_files import compose, dockerfiles, files, manifests, pipelines

__all__ = ["compose", "dockerfiles", "files", "manifests", "pipelines"]
