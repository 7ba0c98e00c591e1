"""What runs builds on a host: agents and controllers, and what they give to the jobs they run."""

# Importing a module registers what it provides.
from hullcheck.facts.runners import agents, buildkite, folders, job_runners, places, work_folders

__all__ = ["agents", "buildkite", "folders", "job_runners", "places", "work_folders"]
