"""The programs that make containers: which run, which package each is from, whether it is as that
package made it.

Only the packages that own such programs are looked at, for all their files are read.
"""

from __future__ import annotations

import base64
import binascii
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.dpkg_sums import parse_sums, sums_want
from hullcheck.facts.mounts import MountTable, covering
from hullcheck.facts.processes import CGROUP, SPACES, STATUS, TIMES, Gone, Process, Processes
from hullcheck.facts.registry import fact, get, provide
from hullcheck.facts.texts import lines_of
from hullcheck.transport import Answer, Want, session_of, want

__all__ = ["NAMES", "EnginePrograms", "Running", "engine_programs", "merged", "parse_rpm_verify"]

DAEMONS = (
    "dockerd", "containerd", "crio", "kubelet", "buildkitd", "cri-dockerd", "podman", "k3s",
    "rke2", "conmon", "conmonrs", "docker-proxy", "containerd-shim", "containerd-shim-runc-v1",
    "containerd-shim-runc-v2",
)  # fmt: skip
NAMES = (*DAEMONS, "runc", "crun", "youki", "docker", "pinns", "nerdctl", "buildah",
         "netavark")  # fmt: skip
PLACES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/usr/libexec/podman",
          "/usr/lib/podman", "/usr/libexec/crio", "/usr/lib/cri-o-runc/sbin", "/usr/libexec/docker",
          "/opt/bin")  # fmt: skip
"""Where distributions and the makers of engines put them."""

_ENDS = "|".join(each.replace(".", r"\.") for each in NAMES)
_OWN = f"/(s?bin|(lib|libexec)/(podman|docker|crio))/({_ENDS})$"
_PATHS = " ".join(f"{place}/{name}" for place in PLACES for name in NAMES)

THERE = want(f"stat -L -c %n -- {_PATHS}", meaning=(0, 1))

LINKS = want(
    f'for f in {_PATHS}; do [ ! -L $f ] || echo "$f $(readlink -f $f)"; done', meaning=(0, 1)
)
"""Packages have no checksum of a link: what it leads to has to have one."""

DPKG_FILES = want(
    f"cd /var/lib/dpkg/info 2>/dev/null || exit 1; grep -HE '{_OWN}' *.list", meaning=(0, 1, 2)
)
DPKG_SUMS = sums_want(_OWN)
RPM_FILES = want(
    f"[ -d /var/lib/rpm ] || [ -d /usr/lib/sysimage/rpm ] || exit 1; for f in {_PATHS}; do"
    ' [ ! -e $f ] || rpm -qf --qf "%{NAME} $f\\n" $f; done',
    meaning=(0, 1, 127), seconds=60,
)  # fmt: skip
RPM_VERIFY = want(
    f"[ -d /var/lib/rpm ] || [ -d /usr/lib/sysimage/rpm ] || exit 1; p=$(for f in {_PATHS}; do"
    " [ ! -e $f ] || rpm -qf --qf '%{NAME}\\n' $f | grep -v ' '; done | sort -u)"
    ' && [ -n "$p" ] && rpm -V --nodeps --noscripts $p; c=$?;'
    " [ $c -lt 2 ] || [ $c -ge 126 ] || c=1; exit $c",
    meaning=(0, 1, 127), seconds=60,
)  # fmt: skip
APK_FILES = want(
    "awk '/^P:/{p=substr($0,3)} /^F:/{f=substr($0,3)} /^R:/{r=substr($0,3)}"
    f' /^Z:/&&f~/bin|libexec/&&r~/^({_ENDS})$/{{print p, "/" f "/" r, substr($0,3)}}\''
    " /lib/apk/db/installed"
    ' | while read -r p f z; do s=$(sha1sum "$f") && echo "$p $f $z ${s%% *}"; done',
    meaning=(0, 1, 2), seconds=60,
)  # fmt: skip

_DPKG_FILE = re.compile(r"([^/:]+(?::[a-z0-9]+)?)\.list:(/.+)")
_MISSING = re.compile(r"missing {3,}(?:([a-z]) )?(/.+?)(?: \((.+)\))?")
_RPM_ROW = re.compile(r"([SM5DLUGTP.?]{8,9})  ([cdglrn ]) (/.+)")
_RPM_CHANGES = {"S": "size", "M": "mode", "5": "content", "D": "device", "L": "link", "U": "owner",
                "G": "group", "P": "capabilities"}  # fmt: skip
_UNREAD = "cannot be read; it may need root"


@dataclass(frozen=True, slots=True)
class Running:
    """A process of the host's own that is part of an engine.

    :param path: of its program; ``replaced`` is whether that file has gone since it started.
    """

    process: Process
    path: str
    replaced: bool


def merged(path: str) -> str:
    """Return a path below /usr, where /bin, /sbin and /lib are links into it."""
    return f"/usr{path}" if path.startswith(("/bin/", "/sbin/", "/lib/")) else path


def parse_rpm_verify(lines: Iterable[str]) -> tuple[dict[str, str], list[str]]:
    """Return what ``rpm -V`` finds changed (path -> how), and the files that it could not read.

    Settings, documents and ghosts are left out, and so is a time alone.

    :raises Unknown: a line makes no sense.
    """
    changed, unread = {}, []
    for line in lines:
        row, missing = _RPM_ROW.fullmatch(line), _MISSING.fullmatch(line)
        if missing:
            if missing[3]:
                unread.append(missing[2])
            elif missing[1] not in ("c", "d", "g"):
                changed[missing[2]] = "missing"
            continue
        if row is None:
            raise Unknown(f"rpm -V: cannot understand {line[:80]!r}")
        if row[2] in "cdglrn":
            continue
        how = [_RPM_CHANGES[each] for each in row[1] if each in _RPM_CHANGES]
        if how:
            changed[row[3]] = ", ".join(how)
        if "?" in row[1]:
            unread.append(row[3])
    return changed, unread


class EnginePrograms:
    """The engine programs of a host."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @fact
    def running(self) -> tuple[list[Running], list[str]]:
        """The host's own processes that are part of an engine, and which could not be seen.

        What runs in a container is not the host's.
        """
        processes: Processes = get(self.host, "processes")
        short = {name[:15] for name in DAEMONS}
        meant = [each for each in processes if each.name in short and not each.zombie]
        processes.look_up(each.pid for each in meant)
        init = processes.get(1)
        found, unseen = [], []
        for process in meant:
            try:
                if init is None or process.namespace("mnt") != init.namespace("mnt"):
                    continue
                if process.root != init.root:
                    continue
                path = process.exe
            except Gone:
                continue
            except Unknown as reason:
                unseen.append(f"{reason}; it may need root")
                continue
            plain = path.removesuffix(" (deleted)")
            name = posixpath.basename(plain)
            if name in DAEMONS or name.startswith("containerd-shim-"):
                found.append(Running(process, plain, plain != path))
            elif process.uids[1] == 0:
                # Everybody may choose a name; that root's process has a false one is odd.
                unseen.append(f"process {process} runs {plain}, and may be part of an engine")
        return found, unseen

    @fact
    def installed(self) -> frozenset[str]:
        """The engine programs that lie where programs are looked for. :raises Unknown: denied."""
        answer = session_of(self.host).ask(THERE)[0]
        for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
            if not line.endswith(("No such file or directory", "Not a directory")):
                raise Unknown(f"the engine's programs cannot be seen: {line[:200]}")
        return frozenset(lines_of(answer))

    def _asked(self, want: Want) -> Answer:
        """Return one answer; what else tells whose the programs are travels with it."""
        return session_of(self.host).ask(want, DPKG_FILES, RPM_FILES, APK_FILES, LINKS, THERE)[0]

    @fact
    def links(self) -> Mapping[str, str]:
        """Where those engine programs lead that are symbolic links; "" is nowhere."""
        rows = (line.partition(" ") for line in lines_of(session_of(self.host).ask(LINKS)[0]))
        return {path: merged(target) for path, _, target in rows}

    @fact
    def owners(self) -> Mapping[str, str]:
        """The package that each engine program is from, by path below /usr."""
        found = {path: name for name, path in self._dpkg}
        found |= {path: name for name, path, _, _ in self._apk}
        for line in lines_of(self._asked(RPM_FILES)):
            name, _, path = line.partition(" ")
            if path.startswith("/") and name != "file":
                found[merged(path)] = name
        return found

    @property
    def unowned(self) -> list[str]:
        """Engine programs, running or to be found, that no package has brought."""
        found = {merged(each.path) for each in self.running[0] if not each.replaced}
        found |= {self.links.get(each, each) for each in self.installed - set(self.owners)}
        return sorted(each for each in found - set(self.owners) if not self._imaged(each))

    @property
    def _dpkg(self) -> Iterator[tuple[str, str]]:
        answer = self._asked(DPKG_FILES)
        if answer.exit == 2 and not answer.complaint.endswith("No such file or directory"):
            raise Unknown(f"dpkg's lists of files cannot be read: {answer.complaint}")
        for line in lines_of(answer):
            row = _DPKG_FILE.fullmatch(line)
            if row is None:
                raise Unknown(f"dpkg's lists of files: cannot understand {line[:80]!r}")
            yield row[1], merged(row[2])

    @property
    def _apk(self) -> list[tuple[str, str, str, str]]:
        found = []
        for line in lines_of(self._asked(APK_FILES)):
            fields = line.split(" ")
            if len(fields) != 4:
                raise Unknown(f"apk's database: cannot understand {line[:80]!r}")
            found.append((fields[0], merged(fields[1]), fields[2], fields[3]))
        return found

    @property
    def changed(self) -> tuple[dict[str, str], list[str]]:
        """Files of the packages that own engine programs which are not as these made them (path ->
        how), and why others are not known.

        :raises Unknown: a package manager gives no answer that can be understood.
        """
        session_of(self.host).foresee(DPKG_SUMS, RPM_VERIFY)
        changed, doubts = self._of_dpkg()
        if any(" /" in each for each in lines_of(self._asked(RPM_FILES))):
            more, unread = parse_rpm_verify(_verified(self._asked(RPM_VERIFY)))
            changed |= more
            doubts += [f"{each} {_UNREAD}" for each in unread]
        for name, path, wanted, seen in self._apk:
            digest = _apk_digest(wanted)
            if digest is None:
                doubts.append(f"{path}: {name} has a checksum of a kind that is not known")
            elif digest != seen:
                changed[path] = "content"
        return changed, doubts

    def _of_dpkg(self) -> tuple[dict[str, str], list[str]]:
        """Return the same of the packages of dpkg; nothing if none owns an engine program."""
        owned = list(self._dpkg)
        if not owned:
            return {}, []
        sums = parse_sums(self._asked(DPKG_SUMS))
        doubts = [f"{each} {_UNREAD}" for each in sums.unread]
        noted = {(name, merged(path)) for name, path in sums.noted}
        places = {path for _, path in noted}
        for name, path in owned:
            if (name, path) not in noted and self.links.get(path, "") not in places:
                doubts.append(f"{path}: {name} has no checksum of it")
        return sums.changed, doubts

    def _imaged(self, path: str) -> bool:
        """Whether a program comes in an image that cannot be written: a snap, a system image."""
        mounts: MountTable = get(self.host, "mounts")
        mount = covering(mounts, path)
        return mount is not None and mount.fstype in ("squashfs", "erofs") and mount.read_only


def _verified(answer: Answer) -> list[str]:
    """Return the lines of a verification. :raises Unknown: there was none."""
    if answer.exit == 127 or (not answer.output and answer.exit):
        complaint = answer.complaint or f"exit code {answer.exit}"
        raise Unknown(f"the engine's packages cannot be verified: {complaint}")
    return lines_of(answer)


def _apk_digest(text: str) -> str | None:
    """Return the SHA-1 that apk notes as ``Q1`` and base64; None for any other kind."""
    try:
        return base64.b64decode(text[2:], validate=True).hex() if text[:2] == "Q1" else None
    except binascii.Error:
        return None


@provide
def engine_programs(host: Host) -> EnginePrograms:
    """The engine programs of the host."""
    session = session_of(host)
    session.foresee(THERE, LINKS, DPKG_FILES, RPM_FILES, APK_FILES, STATUS, CGROUP, TIMES, SPACES)
    return EnginePrograms(host)
