"""A Debian host in half a second: namespaces over an overlay of /, with its own sshd."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.live.hosts import written as writes
from tests.live.hosts.cgroups import hierarchies
from tests.live.hosts.network import lock, take_address
from tests.live.hosts.seed import OPAQUE, Access, lay_seed

HERE = Path(__file__).parent
STATES = Path(os.environ.get("HULLCHECK_LIVE_DIR", "/var/tmp/hullcheck-live"))


class NotStarted(RuntimeError):
    """A host did not come up; says what its own log says."""


def wait_until(ready: Callable[[], bool], what: str, seconds: float = 20) -> None:
    """Ask again and again; raise NotStarted when the deadline passes."""
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            raise NotStarted(f"{what}: not within {seconds:g} s")
        time.sleep(0.01)


class OverlayHost:
    """One host on a loopback address. Use as a context manager, or call close().

    name: its hostname and its name in the ssh_config. address: None takes a free one.
    lower: the root file system that it is laid over, the machine's own unless told otherwise.
    Attributes: .address .port .name; .ssh_config .known_hosts .key (paths for clients);
    .upper (the overlay's upper directory, seen from outside); .pid (of its init, outside).
    """

    lower = Path("/")
    cgroup_layout = "v1"
    wants_bridge = False
    patience = 0.0

    def __init__(self, name: str = "web1", address: str | None = None, port: int = 2222) -> None:
        self.name, self.port = name, port
        self._closed = False
        self._locks: list[int] = []
        self._keeper: subprocess.Popen[bytes] | None = None
        STATES.mkdir(parents=True, exist_ok=True)
        self.state = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=STATES))
        (self.state / "ns").mkdir()
        try:
            self.address, held = take_address(address, port)
            self._locks.append(held)
            if self.wants_bridge:
                self._locks.append(lock("docker0", self.patience))
            self.access = Access.make(self.state / "access", name, self.address, port)
            lay_seed(self.state / "seed", name, self.access)
            self.seed(self.state / "seed")
            self._start()
            self.ready()
        except BaseException:
            self.close()
            raise

    def seed(self, root: Path) -> None:
        """Add files to the host before it starts (for kinds of hosts)."""

    def init(self) -> list[str]:
        """Return the command that becomes PID 1."""
        return ["/usr/sbin/sshd", "-D", "-e"]

    def binds(self) -> list[tuple[Path, str]]:
        """Return (outside, on the host) directories of the real file system to bind."""
        return []

    def ready(self) -> None:
        """Wait until the host answers; for kinds of hosts."""
        self._await_sshd()

    @property
    def ssh_config(self) -> Path:
        return self.access.ssh_config

    @property
    def known_hosts(self) -> Path:
        return self.access.known_hosts

    @property
    def key(self) -> Path:
        return self.access.key

    @property
    def upper(self) -> Path:
        return self._outer_root / "upper"

    @property
    def root(self) -> Path:
        """The host's merged root, seen from outside."""
        return Path(f"/proc/{self.pid}/root")

    def run(
        self, script: str, *, check: bool = True, timeout: float = 60, stdin: bytes = b""
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell script inside the host as root, in all its namespaces and cgroups."""
        if not self._has_own_root():
            raise NotStarted(f"{self.name} has no root of its own: this would hit the machine")
        enter = "".join(
            f"echo 0 >{shlex.quote(str(path))}/cgroup.procs\n" for path in self._cgroups
        )
        enter += 'exec nsenter -t "$0" -m -u -i -p -C -r -w -- /usr/bin/env -i "$@"'
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        inside = [path, "HOME=/root", "LC_ALL=C", "/bin/sh", "-c", script]
        done = subprocess.run(
            ["/bin/sh", "-c", enter, str(self.pid), *inside],
            input=stdin, capture_output=True, timeout=timeout, check=False,
        )  # fmt: skip
        out, err = (each.decode(errors="surrogateescape") for each in (done.stdout, done.stderr))
        if check and done.returncode:
            raise AssertionError(f"{self.name}: exit {done.returncode} of: {script}\n{out}{err}")
        return subprocess.CompletedProcess(script, done.returncode, out, err)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Put a file on the host, root's, with the directories above it."""
        quoted = shlex.quote(path)
        self.run(
            f'mkdir -p "$(dirname {quoted})" && cat >{quoted} && chmod {mode:o} {quoted}',
            stdin=text.encode(errors="surrogateescape"),
        )

    def add_user(
        self, name: str, shell: str = "/bin/bash", *, sudo: bool = False, password: str = ""
    ) -> None:
        """Add a user who may log in with the same key. sudo: all, without a password unless one
        is given."""
        public = shlex.quote(self.access.public)
        self.run(
            f"useradd -m -s {shlex.quote(shell)} {name} && install -d -m 700 -o {name} ~{name}/.ssh"
            f" && echo {public} >~{name}/.ssh/authorized_keys && chown {name} ~{name}/.ssh/*"
        )
        if password:
            self.run("chpasswd", stdin=f"{name}:{password}".encode())
        if sudo:
            tag = "" if password else "NOPASSWD:"
            self.write(f"/etc/sudoers.d/{name}", f"{name} ALL=(ALL:ALL) {tag}ALL\n", 0o440)

    def ssh(
        self, *command: str, user: str = "root", stdin: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a command over the host's real sshd with the OpenSSH client."""
        argv = ["ssh", "-F", str(self.ssh_config), "-l", user, self.name, *command]
        return subprocess.run(argv, input=stdin, capture_output=True, timeout=60, check=False)

    def mark(self) -> writes.Mark:
        """Return the state of the host's writable file systems, to be given to written()."""
        inside = {f"/{name}": self.root / name for name in ("run", "dev")}
        return writes.mark({"": self.upper, **inside})

    def written(self, since: writes.Mark, *, logins: bool = False) -> list[str]:
        """Return the paths changed since a mark; a login's own records only when asked for."""
        return writes.changed(since, self.mark(), logins=logins)

    def close(self) -> None:
        """End the host and remove every trace; raises RuntimeError when something remains."""
        if self._closed:
            return
        self._closed = True
        keeper, log = self._keeper, ""
        for held in self._locks:
            os.close(held)
        if keeper is None:
            shutil.rmtree(self.state)
            return
        assert keeper.stdin is not None
        keeper.stdin.close()
        log = keeper.stderr.read().decode(errors="replace") if keeper.stderr else ""
        if keeper.wait(timeout=60):
            raise RuntimeError(f"{self.name} left something behind: {log}")

    def log(self) -> str:
        """Return what the host's init has said."""
        path = self.state / "init.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def describe(self) -> str:
        """Return a few lines for a person who wants to try this host."""
        facts = {
            "ssh": f"ssh -F {self.ssh_config} {self.name}",
            "inside": f"nsenter -t {self.pid} -m -u -i -p -C -r -w -- /bin/sh",
            "ssh_config": str(self.ssh_config),
            "upper": str(self.upper),
        }
        return json.dumps(facts, indent=2)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def outer(self) -> int:
        """A process in the namespace above the host's own, where its overlay is mounted."""
        return self._unshare

    @property
    def _outer_root(self) -> Path:
        return Path(f"/proc/{self._unshare}/root{self.state}/ns")

    def _start(self) -> None:
        mounted = hierarchies()
        self._cgroups = [each.directory / self.state.name for each in mounted]
        environment = {
            "PATH": os.defpath + ":/usr/sbin:/sbin",
            "STATE": str(self.state),
            "NAME": self.name,
            "LOWER": str(self.lower),
            "PYTHON": sys.executable,
            "OPAQUE": " ".join(OPAQUE),
            "CGROUPS": "\n".join(map(str, self._cgroups)),
            "CGROUP_LAYOUT": self.cgroup_layout,
            "HIERARCHIES": " ".join(each.options for each in mounted if each.options),
            "BINDS": " ".join(f"{outside}:{inside}" for outside, inside in self.binds()),
            "OWNS_BRIDGE": "1" if self.wants_bridge else "",
        }
        keeper = [str(HERE / "keeper.sh"), "/bin/sh", str(HERE / "boot.sh"), *self.init()]
        self._keeper = subprocess.Popen(
            ["/bin/sh", *keeper],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env=environment, pass_fds=self._locks, start_new_session=True,
        )  # fmt: skip
        self._wait_for((self.state / "unshare.pid").exists, "namespaces")
        self._unshare = int((self.state / "unshare.pid").read_text())
        children = Path(f"/proc/{self._unshare}/task/{self._unshare}/children")
        self._wait_for(lambda: bool(children.read_text()), "PID 1")
        self.pid = int(children.read_text().split()[0])
        self._wait_for(self._has_own_root, "its own root")

    def _has_own_root(self) -> bool:
        return not self.root.samefile("/")

    def _wait_for(self, ready: Callable[[], bool], what: str, seconds: float = 20) -> None:
        def answer() -> bool:
            try:
                if ready():
                    return True
            except FileNotFoundError:
                raise NotStarted(f"{self.name} ended before {what}:\n{self.log()}") from None
            if self._keeper is not None and self._keeper.poll() is not None:
                raise NotStarted(f"{self.name} ended before {what}:\n{self.log()}")
            return False

        wait_until(answer, f"{self.name}: {what}", seconds)

    def _await_sshd(self) -> None:
        """Wait for the right host key on the host's address and port."""
        ask = ["ssh-keyscan", "-T", "2", "-t", "ed25519", "-p", str(self.port), self.address]

        def right() -> bool:
            if not Path(f"/proc/{self.pid}").exists():
                raise NotStarted(f"{self.name} ended before its sshd answered:\n{self.log()}")
            offered = subprocess.run(ask, capture_output=True, text=True, check=False).stdout
            if not offered.strip():
                return False
            if offered.split()[1:3] != self.access.host_key.split()[:2]:
                raise NotStarted(f"another sshd answers on {self.address}:{self.port}: {offered}")
            return True

        self._wait_for(right, "sshd")
