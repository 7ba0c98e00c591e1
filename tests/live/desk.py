"""What tests of our SSH share: two sshds, and one test's ~/.ssh."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hullcheck.transport import Answer, Session, Unreachable, Want, session_of, want
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from tests.live.sshd import PORT, Sshd, keygen


class Lab:
    """Two sshds, a key that opens both, and users."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.key = keygen(home / "key")
        self.other = keygen(home / "other")
        self.ca = keygen(home / "ca")
        extra = f"MaxAuthTries 3\nTrustedUserCAKeys {self.ca}.pub"
        self.web = Sshd("127.0.0.31", home, extra=extra)
        self.jump = Sshd("127.0.0.32", home)
        for sshd in (self.web, self.jump):
            sshd.authorized.write_text(Path(f"{self.key}.pub").read_text())


class Desk:
    """One test's ~/.ssh: a configuration, known hosts, and sessions that end with it."""

    def __init__(self, folder: Path, lab: Lab, client: str) -> None:
        self.folder, self.lab, self.client = folder, lab, client
        self.config = folder / "config"
        self.known = folder / "known_hosts"
        self.known.write_text(lab.web.known + lab.jump.known)
        self.open: list[Session] = []
        self.write()

    def write(self, web: str = "", everywhere: str = "", key: bool = True) -> None:
        identity = f"  IdentityFile {self.lab.key}\n" if key else ""
        self.config.write_text(
            f"Host web\n  HostName {self.lab.web.address}\n{web}\n"
            f"Host jump\n  HostName {self.lab.jump.address}\n"
            f"Host *\n  Port {PORT}\n  User root\n{identity}{everywhere}\n"
            f"  UserKnownHostsFile {self.known}\n  GlobalKnownHostsFile /dev/null\n"
        )

    def session(self, host: str = "web", sudo_password: str | None = None) -> Session:
        target = replace(parse_spec(f"{self.client}://{host}"), ssh_config=self.config)
        session = session_of(connect(target, sudo_password=sudo_password))
        self.open.append(session)
        return session

    def ask(self, *wants: Want, host: str = "web") -> list[Answer]:
        return self.session(host).ask(*wants)

    def refusal(self, host: str = "web", **also: str) -> Unreachable:
        with pytest.raises(Unreachable) as caught:
            self.session(host, **also).ask(want("id"))
        assert "\n" not in str(caught.value)
        return caught.value
