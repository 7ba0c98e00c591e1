"""Secrets in what units of systemd set, as systemd itself tells it to every user.

The values are judged on the host; the names leave it. systemd.exec(5) warns that Environment= is
no place for secrets: any user can ask for it over D-Bus.
"""

from __future__ import annotations

import re
import shlex

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.credentials.files import Credentials, secrets_in
from hullcheck.facts.credentials.scripts import UNIT_NAMES
from hullcheck.facts.registry import get, provide
from hullcheck.facts.texts import END, lines_of
from hullcheck.transport import CannotAnswer, session_of, want
from hullcheck.transport.redact import looks_secret

__all__ = ["SHOWN", "UnitSecrets", "unit_secrets"]

SHOWN = want(
    ": what units of systemd set, looked at on the host so that no value of it leaves it;\n"
    "[ ! -d /run/systemd/system ] || { { systemctl show --no-pager --property=Id,Environment"
    " --type=service '*' && echo '= shown' || echo '= failed'; } | awk "
    + shlex.quote("/^= (failed|shown)/ { print; next }" + UNIT_NAMES)
    + f"; }}; echo '{END}'",
    seconds=30,
)


class UnitSecrets:
    """:param found: sentences, one for each secret; ``doubts``: why there may be more."""

    def __init__(self, found: list[str], doubts: list[str]) -> None:
        self.found, self.doubts = found, doubts


@provide
def unit_secrets(host: Host) -> UnitSecrets:
    """Secrets that units set.

    :raises NotApplicable: there are no units but those of packages, and systemd does not run.
    """
    session_of(host).foresee(SHOWN)
    known: Credentials = get(host, "credentials")
    lines = lines_of(session_of(host).ask(SHOWN)[0])
    if lines[-1:] != [END]:
        raise CannotAnswer("what systemd tells of units is not whole")
    found, doubts = [], []
    for line in lines[:-1]:
        tag, _, rest = line.partition("\t")
        unit, _, name = rest.partition("\t")
        if tag == "N" and (" " in name or looks_secret(name.encode("utf-8", "surrogateescape"))):
            found.append(f"{name} of {unit}, as systemctl show tells everybody")
        elif tag == "L":
            doubts.append(f"{unit} sets more than is looked at")
        elif tag == "= failed":
            doubts.append("systemd does not tell what units set")
        elif tag not in ("N", "= shown"):
            raise CannotAnswer(f"a line of what units set is none: {line[:60]!r}")
    units = known.of("unit")
    for each in units:
        try:
            found += [f"{name} in {each.path}" for name in secrets_in(each)]
        except Unknown as reason:
            doubts.append(str(reason))
    doubts += [f"{each} cannot be looked into; it needs root" for each in known.hidden
               if re.match("/(etc|run|home|root)", each)]  # fmt: skip
    if not (units or found or doubts or len(lines) > 1):
        raise NotApplicable("there are no units of systemd beside those that packages brought")
    return UnitSecrets(sorted(set(found)), doubts)
