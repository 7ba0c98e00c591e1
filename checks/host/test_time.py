"""Whether a host's clock can be believed."""

from __future__ import annotations

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.clock import Clock

FOREIGN = "the clock belongs to the machine that this host runs on: nothing here may set it"


@control(
    title="One program keeps the host's clock right",
    severity="low",
    level=1,
    fix="Enable one of systemd-timesyncd, chrony or ntpsec (systemctl enable --now "
    "systemd-timesyncd.service) and disable the others.",
)
def test_clock_keeper(clock: Clock) -> None:
    """Logs of several hosts tell one story only if their clocks agree, and certificates and
    tokens that have expired are valid again on a host whose clock is behind. Two programs that
    both set the clock pull it to and fro."""
    if not clock.settable:
        raise NotApplicable(FOREIGN)
    names = sorted({each.name for each in clock.keepers})
    if not names and clock.guests:
        raise Manual("see that the machine below keeps this host's clock right", clock.guests)
    if not names and clock.sight.doubt:
        raise Unknown(clock.sight.doubt)
    expect(len(names), equals=1, what=f"number of programs that set the clock{_shown(names)}")


def _shown(names: list[str]) -> str:
    return f" ({', '.join(names)})" if names else ""


@control(
    title="The host's clock follows another clock",
    severity="low",
    level=1,
    fix="See that the servers named in /etc/chrony/chrony.conf (/etc/chrony.conf, "
    "/etc/systemd/timesyncd.conf, /etc/ntpsec/ntp.conf) can be reached over UDP port 123.",
)
def test_clock_synchronised(clock: Clock) -> None:
    """A time daemon that reaches no server runs, and the clock drifts all the same. Its own
    word for it, or the kernel's, counts; a server that believes nothing but itself is no other
    clock."""
    if not clock.settable:
        raise NotApplicable(FOREIGN)
    if not clock.keepers:
        if clock.sight.doubt:
            raise Unknown(clock.sight.doubt)
        raise NotApplicable("nothing keeps the clock")
    follows, source = clock.synchronised
    expect(follows, equals=True, what=f"following another clock, as {source} says")
