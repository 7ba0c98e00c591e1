"""What projects on disk need of others, and whether its versions are settled."""

from __future__ import annotations

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.build_files.manifests import Manifest


@control(
    title="Projects settle the versions of what they need in a lock file",
    severity="medium",
    fix="Commit the lock file of the project's package manager (package-lock.json, uv.lock, go.sum "
    "…) and install by it (npm ci, uv sync --frozen), or pin requirements with ==.",
)
def test_lock_files(manifest: Manifest) -> None:
    """Without a lock file each build takes the newest version of everything that is needed, also of
    what that needs: a release that somebody has taken over is in the next image a minute later, and
    afterwards nobody can say which builds had it. Libraries, tests and examples need none."""
    if manifest.of_trials:
        raise NotApplicable("it lies among tests, examples or documents")
    found = manifest.lock()
    if not found:
        manifest.files.need_whole(manifest.folder)
    expect(found or "none", equals=found or "one", what="lock file")
