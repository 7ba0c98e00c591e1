"""Real hosts on this machine, made and removed by the tests: see docs/testing.md."""
