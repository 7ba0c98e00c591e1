"""Whom to audit, and by which site values."""
