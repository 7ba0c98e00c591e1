"""Where containers' files lie."""

from __future__ import annotations

from hullcheck.control import Unknown, control, expect
from hullcheck.facts.docker import DockerEngine
from hullcheck.facts.files import Files
from hullcheck.facts.mounts import MountTable, covering

OWN = "a file system of its own"
CONTAINERD = "/run/containerd/containerd.sock"


@control(
    title="Containers' files are on a file system of their own",
    severity="medium",
    fix="Create a file system for the engine's data root and mount it there; a bind mount of a "
    "folder on the root file system does not help.",
)
def test_data_root_partition(docker: DockerEngine, files: Files, mounts: MountTable) -> None:
    """Images, logs and what containers write fill the disk they are on. If that is the host's
    root file system, one container stops the host."""
    roots = [docker.root_dir]
    driver = dict(row[:2] for row in docker.info.get("DriverStatus") or [] if len(row) > 1)
    address = (docker.info.get("Containerd") or {}).get("Address")
    if "snapshotter" in str(driver.get("driver-type", "")) and address == CONTAINERD:
        roots.append("/var/lib/containerd")
    host = covering(mounts, "/")
    for root in roots:
        place = files.get(root)
        if not place.exists:
            raise Unknown(f"{root} of {docker} is not to be found on the host")
        below = covering(mounts, place.resolved)
        if host is None or below is None:
            raise Unknown("the root file system is not among the mounts")
        where = "the root file system" if below.device == host.device else OWN
        expect(where, equals=OWN, what=f"the place of {root}")
