"""Makes ``pytest --hosts=…`` work from a clone."""

from pathlib import Path

import pytest

pytest_plugins = ["hullcheck.plugin"]


def pytest_configure(config: pytest.Config) -> None:
    """Run the controls when no path is named.

    That is what ``testpaths`` says; but with ``--ssh-config FILE`` pytest takes FILE for a test,
    looks for its settings beside it, and does not find ours.
    """
    if config.args_source is config.ArgsSource.INVOCATION_DIR:
        config.args[:] = [str(Path(__file__).parent / "checks")]
