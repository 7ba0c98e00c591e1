"""Where builds of this host are told to leave out what they would attest by default.

Source: docs.docker.com, building with environment variables, BUILDX_NO_DEFAULT_ATTESTATIONS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.registry import get, provide
from hullcheck.facts.runners.agents import BuildAgent
from hullcheck.transport import CannotAnswer, session_of, want

__all__ = ["ATTESTATIONS", "SETTINGS", "Setting", "attestation_settings"]

ATTESTATIONS = "BUILDX_NO_DEFAULT_ATTESTATIONS"
TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
"""What Go's strconv.ParseBool takes for true."""

_FILES = (
    "/etc/environment /etc/profile /etc/profile.d/*.sh /etc/bash.bashrc /etc/bashrc"
    " /etc/environment.d/*.conf /etc/default/*runner* /etc/default/*agent* /etc/default/jenkins"
    " /etc/default/docker /etc/sysconfig/*runner* /etc/systemd/system/*.service"
    " /etc/systemd/system/*.service.d/*.conf /etc/systemd/system.conf.d/*.conf"
    " /etc/gitlab-runner/config.toml /etc/buildkite-agent/hooks/environment"
)
_OF_HOMES = (
    ".profile .bash_profile .bashrc .zshenv .zprofile .zshrc .pam_environment"
    " .gitlab-runner/config.toml .env actions-runner/.env"
)
_PLUGINS = (
    "/usr/libexec/docker/cli-plugins /usr/lib/docker/cli-plugins"
    " /usr/local/lib/docker/cli-plugins /usr/local/libexec/docker/cli-plugins"
)

SETTINGS = want(
    f"set -- {_FILES}; for h in $({{ getent passwd || cat /etc/passwd; }} 2>/dev/null"
    " | awk -F: '$7 !~ /(nologin|false|sync|shutdown|halt)$/ && $6 ~ /^\\/./ { print $6 }'"
    f' | sort -u); do for f in {_OF_HOMES}; do set -- "$@" "$h/$f"; done;'
    ' [ ! -d "$h" ] || [ -x "$h" ] || echo "= hidden $h";'
    ' [ ! -e "$h/.docker/cli-plugins/docker-buildx" ] || echo "= buildx"; done;'
    f" for p in {_PLUGINS}; do [ ! -e $p/docker-buildx ] || echo '= buildx'; done;"
    ' for f; do shift; [ ! -e "$f" ] || set -- "$@" "$f"; done;'
    ' [ $# = 0 ] || find -L "$@" -maxdepth 0 -type f \\( -size -2048'
    f" -exec grep -aH {ATTESTATIONS} {{}} + -o -size +2047 -exec echo '= hidden' {{}} \\; \\);"
    " echo '= end'"
)


@dataclass(frozen=True, slots=True)
class Setting:
    """The variable, as a file or a process has it."""

    where: str
    value: str

    def __str__(self) -> str:
        return f"{self.where} ({ATTESTATIONS}={self.value})"

    @property
    def off(self) -> bool:
        """Whether it turns attestations off."""
        return self.value in TRUE


@provide
def attestation_settings(host: Host) -> list[Setting]:
    """All settings of the variable, those of running agents too.

    :raises NotApplicable: nothing here builds with buildx.
    :raises Unknown: a file that could set it cannot be read, and none that can be read does.
    """
    answer = session_of(host).ask(SETTINGS)[0]
    lines = answer.text.split("\n")
    if lines[-2:] != ["= end", ""]:
        raise CannotAnswer("the settings of builds were not told to the end")
    found = list(_settings(line for line in lines if not line.startswith("= ")))
    try:
        agents: list[BuildAgent] = get(host, "build_agents")
        found += [
            Setting(str(each), each.settings[ATTESTATIONS])
            for each in agents
            if ATTESTATIONS in each.settings
        ]
    except Unknown:
        if any(each.off for each in found):
            return found
        raise
    if any(each.off for each in found):
        return found
    if not agents and "= buildx" not in lines:
        raise NotApplicable("no agent runs builds here, and buildx is not installed")
    mark = "= hidden "
    hidden = [line.removeprefix(mark) for line in lines if line.startswith(mark)]
    hidden += answer.evidence.stderr.decode("utf-8", "replace").splitlines()
    if hidden:
        raise Unknown(f"not all that may set it can be read: {hidden[0][:150]}; it may need root")
    return found


_ASSIGNED = re.compile(rf"(?:^|[\s\"',\[{{;]){ATTESTATIONS}[\"']?\s*[=:]\s*[\"']?([^\s\"',;\]}}]*)")


def _settings(lines: Iterator[str]) -> Iterator[Setting]:
    for line in lines:
        path, _, text = line.partition(":")
        if text.lstrip()[:1] not in ("#", ";"):
            for value in _ASSIGNED.findall(text.partition(" #")[0]):
                yield Setting(path, value)
