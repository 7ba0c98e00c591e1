"""Recordings of real hosts, and what made them."""
