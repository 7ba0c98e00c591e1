"""Who owns the files that start and configure a Docker engine, and who else may use them."""

from __future__ import annotations

from hullcheck.control import control
from hullcheck.facts.accounts import Accounts
from hullcheck.facts.engine_files import EngineFile

from .ownership import expect_mode, expect_owner


@control(
    title="Only root can rewrite the units that start the engine",
    severity="critical",
    level=1,
    fix="chown root:root the unit file and each drop-in, and take the directories on the way from"
    " others. Then run systemctl daemon-reload.",
)
def test_unit_file_owner(unit_file: EngineFile, accounts: Accounts) -> None:
    """A unit names the program that systemd starts as root. Whoever owns its fragment or one of
    its drop-ins, or a directory on the way to them, chooses that program at the next start."""
    expect_owner(unit_file, accounts)


@control(
    title="The units that start the engine are writable by root alone",
    severity="critical",
    level=1,
    fix="chmod 0644 the unit file and each drop-in, and remove ACL entries that let others write:"
    " setfacl -b FILE.",
)
def test_unit_file_mode(unit_file: EngineFile) -> None:
    """systemd runs as root what a unit says. A drop-in counts as much as the unit it changes,
    and an access list as much as the mode."""
    expect_mode(unit_file, 0o644)


@control(
    title="Only root can rewrite the socket unit of the engine",
    severity="high",
    level=1,
    fix="chown root:root the socket unit and each drop-in, and take the directories on the way "
    "from others. Then run systemctl daemon-reload.",
)
def test_socket_unit_file_owner(socket_unit_file: EngineFile, accounts: Accounts) -> None:
    """The socket unit says where the engine's API listens and which group may use it. Whoever
    can rewrite it can give the API, and so the host, to anybody."""
    expect_owner(socket_unit_file, accounts)


@control(
    title="The socket unit of the engine is writable by root alone",
    severity="high",
    level=1,
    fix="chmod 0644 the socket unit and each drop-in, and remove ACL entries that let others "
    "write: setfacl -b FILE.",
)
def test_socket_unit_file_mode(socket_unit_file: EngineFile) -> None:
    """A changed SocketMode or ListenStream opens the engine's API to every local user, or to
    the network, at the next start."""
    expect_mode(socket_unit_file, 0o644)


@control(
    title="Only root can rewrite the engine's configuration directory",
    severity="critical",
    level=1,
    fix="chown root:root /etc/docker, or the directory of the daemon.json in use; of a rootless "
    "engine, chown it to the user who runs it.",
)
def test_config_directory_owner(config_directory: EngineFile, accounts: Accounts) -> None:
    """The owner of the directory can put another daemon.json, or another trusted certificate,
    in the place of the one that is there, whoever owns that file."""
    expect_owner(config_directory, accounts)


@control(
    title="The engine's configuration directory is writable by its owner alone",
    severity="critical",
    level=1,
    fix="chmod 0755 the directory, or tighter, and remove ACL entries that let others write: "
    "setfacl -b DIRECTORY.",
)
def test_config_directory_mode(config_directory: EngineFile) -> None:
    """Whoever can write the directory can replace every file in it, and with daemon.json
    everything that the engine is told to do."""
    expect_mode(config_directory, 0o755)


@control(
    title="Only root can rewrite the engine's configuration file",
    severity="critical",
    level=1,
    fix="chown root:root the daemon.json in use and the one in /etc/docker, and take the "
    "directories on the way from others.",
)
def test_config_file_owner(config_file: EngineFile, accounts: Accounts) -> None:
    """daemon.json can name another runtime, another API listener or no TLS at all. The file in
    use counts, wherever --config-file says it is."""
    expect_owner(config_file, accounts)


@control(
    title="The engine's configuration file is writable by its owner alone",
    severity="critical",
    level=1,
    fix="chmod 0644 the daemon.json in use and the one in /etc/docker, or tighter; setfacl -b "
    "FILE.",
)
def test_config_file_mode(config_file: EngineFile) -> None:
    """A user who can write daemon.json becomes root with the engine's next restart."""
    expect_mode(config_file, 0o644)


@control(
    title="Only root can rewrite the engine's environment file",
    severity="high",
    level=1,
    fix="chown root:root /etc/default/docker and the EnvironmentFile= of the engine's unit.",
)
def test_default_file_owner(default_file: EngineFile, accounts: Accounts) -> None:
    """Distributions hand the engine its flags or its environment in this file. Whoever owns it
    chooses where the API listens, or through which proxy images come."""
    expect_owner(default_file, accounts)


@control(
    title="The engine's environment file is writable by root alone",
    severity="high",
    level=1,
    fix="chmod 0644 /etc/default/docker, or tighter; setfacl -b FILE.",
)
def test_default_file_mode(default_file: EngineFile) -> None:
    """What stands in the file becomes part of the engine's command line or environment at its
    next start."""
    expect_mode(default_file, 0o644)


@control(
    title="Only root can rewrite the engine's sysconfig file",
    severity="high",
    level=1,
    fix="chown root:root /etc/sysconfig/docker and what the engine's unit reads beside it.",
)
def test_sysconfig_file_owner(sysconfig_file: EngineFile, accounts: Accounts) -> None:
    """Distributions of the Red Hat family keep the engine's flags here. Whoever owns the file
    decides with which flags a root process starts."""
    expect_owner(sysconfig_file, accounts)


@control(
    title="The engine's sysconfig file is writable by root alone",
    severity="high",
    level=1,
    fix="chmod 0644 /etc/sysconfig/docker, or tighter; setfacl -b FILE.",
)
def test_sysconfig_file_mode(sysconfig_file: EngineFile) -> None:
    """What stands in the file becomes part of the engine's command line or environment at its
    next start."""
    expect_mode(sysconfig_file, 0o644)
