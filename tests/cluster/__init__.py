"""A small real API server for tests: HTTPS, a made-up authority, objects of real shape."""
