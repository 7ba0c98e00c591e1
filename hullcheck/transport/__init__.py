"""Reaching a host, asking it many things at once, and keeping what it answered."""

from hullcheck.transport.backend import Backend, host_of, session_of
from hullcheck.transport.consulted import Consulted
from hullcheck.transport.session import Session, Wire
from hullcheck.transport.want import (
    Answer,
    CannotAnswer,
    Evidence,
    Pending,
    Unreachable,
    Want,
    read,
    want,
)

__all__ = [
    "Answer",
    "Backend",
    "CannotAnswer",
    "Consulted",
    "Evidence",
    "Pending",
    "Session",
    "Unreachable",
    "Want",
    "Wire",
    "host_of",
    "read",
    "session_of",
    "want",
]
