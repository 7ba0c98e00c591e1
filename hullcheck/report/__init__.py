"""Telling people what a run found: one module per format."""
