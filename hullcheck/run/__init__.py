"""Audits of many hosts, and the run directory they leave."""
