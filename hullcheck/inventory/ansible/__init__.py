"""Ansible's inventories, read without Ansible; see docs/operators.md."""
