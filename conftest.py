"""Makes ``pytest --hosts=…`` work from a clone."""

pytest_plugins = ["hullcheck.plugin"]
