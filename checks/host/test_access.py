"""Who can tell an engine what to do."""

from __future__ import annotations

from collections.abc import Collection

from hullcheck.control import Manual, control, expect
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.docker import Engines
from hullcheck.facts.doors import ENGINE_GROUPS, EngineGroup, EnginePort, EngineSocket
from hullcheck.facts.root_groups import RootGroup
from hullcheck.inventory.policy import Policy


@control(
    title="Only trusted users can connect to engine sockets",
    severity="critical",
    fix="Give the socket back to root and the engine's group with mode 0660, remove other ACL "
    "entries, and let systemd's socket unit or the engine's group setting say the same.",
)
def test_engine_sockets(
    engine_socket: EngineSocket, engines: Engines, accounts: Accounts, policy: Policy
) -> None:
    """Whoever can connect to an engine that runs as root can start a container that is root on
    the host. What counts is who gets through in the end: by the socket's mode, owner, group and
    ACL, and by every folder on the way to it. Members of the engine's own group are another
    control's matter."""
    reach = engine_socket.reach
    who = "everybody" if reach.everybody else "only some"
    expect(who, equals="only some", what=f"who can connect to {engine_socket}")
    others = reach.users - _members(accounts, ENGINE_GROUPS)
    if others:
        others -= _members(accounts, {str(each.setting("group").value) for each in engines.engines})
    if policy.trusted_users is not None:
        expect(others, within=policy.trusted_users, what=f"users with access to {engine_socket}")
    elif others and not reach.everybody:
        raise Manual(
            f"whether these users may reach {engine_socket}: {', '.join(sorted(others))}",
            sorted(others),
        )


def _members(accounts: Accounts, names: Collection[str]) -> set[str]:
    groups = [each for each in accounts.groups if each.name in names or str(each.gid) in names]
    return {name for group in groups for name in accounts.members(group)}


@control(
    title="Only trusted users are in groups that reach an engine",
    severity="high",
    fix="Remove the others with gpasswd -d USER GROUP, and name the trusted ones in trusted_users "
    "of the policy. Give builds a rootless engine.",
)
def test_engine_group_members(engine_group: EngineGroup, policy: Policy) -> None:
    """Membership of such a group is root's rights without a password and without a log. Members
    by primary group count, and so do those that a directory service adds."""
    members = engine_group.members - {"root"}
    if policy.trusted_users is None and members:
        raise Manual(
            f"whether the members of {engine_group} may act as root: {', '.join(sorted(members))}",
            sorted(members),
        )
    expect(members, within=policy.trusted_users or (), what=f"members of {engine_group}")


@control(
    title="Only trusted users are in groups that have root's rights",
    severity="high",
    fix="Remove the others with gpasswd -d USER GROUP, and name the trusted ones in trusted_users "
    "or sudo_users of the policy.",
)
def test_root_group_members(root_group: RootGroup, policy: Policy) -> None:
    """Whoever reads and writes a disk edits any file on it, whoever runs virtual machines as root
    mounts it, whoever reads shadow guesses passwords, and administrators' groups are root to sudo
    and polkit. Members by primary group count."""
    members = root_group.members - {"root"}
    known = (policy.trusted_users, policy.sudo_users)
    allowed = {*(known[0] or ()), *(known[1] or ()), *policy.passwordless_sudo_users}
    if known == (None, None) and members - allowed:
        raise Manual(
            f"whether the members of {root_group}, which {root_group.means}, may act as root: "
            f"{', '.join(sorted(members))}",
            sorted(members),
        )
    expect(members, within=allowed, what=f"members of {root_group}, which {root_group.means},")


@control(
    title="No engine takes orders over TCP without a client's certificate",
    severity="critical",
    fix="Remove the tcp:// listener and use SSH (docker -H ssh://), or set tlsverify with a CA of "
    "your own.",
)
def test_engine_tcp_api(engine_port: EnginePort) -> None:
    """A TCP port asks for no user and no file mode: every program on the host, every page open
    in a browser on it and, unless it is bound to loopback, every neighbour on the network becomes
    root. Only certificates of clients keep them out; encryption alone does not."""
    answers = engine_port.answers
    said = "served" if answers else "refused"
    expect(said, equals="refused", what=f"an anonymous client of {engine_port}")
    if engine_port.known:
        wanted = "demanded" if engine_port.verified else "not demanded"
        expect(wanted, equals="demanded", what=f"a client's certificate at {engine_port}")
    elif not answers:
        who = ", ".join(map(str, engine_port.processes)) or "a process that cannot be seen"
        raise Manual(f"whether what listens on {engine_port} is an engine: {who}", who)
