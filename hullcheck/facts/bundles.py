"""The OCI bundles that runtimes keep on a host: what containerd's shims, CRI-O and raw runc or
crun were asked to start, from their files alone.

A bundle is a directory with a ``config.json`` (OCI runtime-spec, bundle.md). containerd keeps one
for each task at ``STATE/io.containerd.runtime.v2.task/NAMESPACE/ID`` and starts the shim in it;
runc and crun keep a state that names the bundle at ``ROOT/ID/state.json`` and ``ROOT/ID/status``.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts.files import Files
from hullcheck.facts.processes import Process, Processes
from hullcheck.facts.registry import get, provide
from hullcheck.facts.texts import lines_of
from hullcheck.transport import Answer, read, session_of, want
from hullcheck.transport.want import FILE_LIMIT

__all__ = ["FIRST", "LIST", "Bundle", "bundles"]

STATES = (
    "/run/containerd", "/run/docker/containerd/daemon", "/run/k3s/containerd",
    "/var/snap/microk8s/common/run/containerd", "/run/k0s/containerd",
)  # fmt: skip
"""Where containerd keeps its state as Debian, Docker, k3s, rke2, MicroK8s and k0s set it."""

RUNTIMES = ("runc", "crun", "youki")
CRIO = "/run/containers/storage/overlay-containers"
"""containers/storage's default runroot: CRI-O's bundles are below it (Podman's are not)."""

TASKS = ("io.containerd.runtime.v2.task", "io.containerd.runtime.v1.linux")
MOBY = "moby"
"""The namespace of Docker, which describes its containers itself."""

LIST = want(
    "cd /proc; set --; "
    f'for s in {" ".join(STATES)}; do for t in {" ".join(TASKS)}; do set -- "$@" $s/$t; done; '
    "done; for p in $(grep -ls '^containerd-shim' [0-9]*/comm); do "
    f"for t in {' '.join(TASKS)}; do "
    'set -- "$@" /proc/${p%%/*}/cwd/../../../$t; done; done; '
    "r=$(stat -L -c '%d:%i %u %n' \"$@\"); "
    '[ -z "$r" ] || { printf "%s\\n" "$r" | sed "s/^/root /"; '
    'f=$(printf "%s\\n" "$r" | sort -u -k1,1 | cut -d" " -f3-); '
    'for p in $f; do case $p in /proc/*) l=${p%%/../*}; printf "cwd %s " $l; '
    "readlink -n $l | tr '\\n' '?'; echo;; esac; done; "
    "find -H $f -mindepth 3 -maxdepth 3 -type f \\( -name config.json -o -name init.pid \\)"
    " -print0 | tr '\\n\\0' '?\\n'; }; "
    f"set -- {' '.join(f'/run/{name}' for name in RUNTIMES)}; "
    f"for u in /run/user/[0-9]*; do for n in {' '.join(RUNTIMES)}; do "
    '[ $u = "/run/user/[0-9]*" ] || set -- "$@" $u/$n; done; done; '
    'find "$@" -mindepth 2 -maxdepth 2 -type f \\( -name state.json -o -name status \\)'
    " -print0 | tr '\\n\\0' '?\\n'; "
    f"find -H {CRIO} -mindepth 3 -maxdepth 3 -type f -path '*/userdata/*' "
    "\\( -name config.json -o -name pidfile \\) -print0 | tr '\\n\\0' '?\\n'"
)
"""``root DEVICE:INODE OWNER PATH`` of each directory of tasks, known or a shim's, ``cwd PROCESS
LINK`` of the shims that lead to one, then all files that say what a bundle is. A name's newline
becomes a question mark, so that no name can pose as a line; directories of tasks are asked for by
their two names alone, for a user may be the shim, and other names could pose as words of find."""

HERE = want("stat -L -c '%d:%i' /proc/self/ns/mnt")

NESTED = 2
"""How many pids a process in a pid namespace of its own has."""

NOBODY = 65534

_CONMON = (("-c", "--cid"), ("-b", "--bundle"))
FIRST = (LIST, HERE)
"""What :func:`bundles` asks before all else."""

_ROOT = re.compile(r"root (\d+:\d+) (\d+) (/.+)")
_CWD = re.compile(r"cwd /proc/(\d+)/cwd (.*)")
_SHIM = re.compile(r"/proc/(\d+)/cwd/")
_USERS = re.compile(r"(?:find|stat): (?:[a-z ]*['\"`])?(?:/run/user/\d+|/proc/(\d+)/cwd)/")
_OVER = ("No such file or directory", "Not a directory", "No such process")
_STATES = ("/state.json", "/status")
_TASK_FILE = re.compile(r"(/.*/io\.containerd\.runtime\.v[12]\.[a-z]+)/([^/]+)/([^/]+)/[^/]+")


@dataclass(frozen=True, slots=True)
class Bundle:
    """One container, as its runtime was asked to start it.

    :param namespace: containerd's, ``moby`` being Docker's; ``libpod`` of what Podman started;
        else empty.
    :param runtime: containerd, cri-o, runc, crun or youki.
    :param path: of the bundle, as the host finds it.
    :param pid: its first process, in the host's numbers; None if it does not run. Not told of
        Docker's.
    :param state_root: where its runtime keeps what it knows.
    :param owner: the user whose word all this is; 0 is root.
    :param told: its ``config.json``, or why it cannot be read.
    """

    id: str
    namespace: str
    runtime: str
    path: str
    pid: int | None
    state_root: str
    owner: int = 0
    told: Mapping[str, Any] | Unknown = field(default_factory=dict, repr=False)

    @property
    def spec(self) -> Mapping[str, Any]:
        """Its ``config.json``; empty if there is none, and of Docker's.

        :raises Unknown: it cannot be read or parsed.
        """
        if isinstance(self.told, Unknown):
            raise Unknown(*self.told.args)
        return self.told


@provide
def bundles(host: Host) -> list[Bundle]:
    """Every bundle on the host, of every runtime, by path.

    :raises Unknown: a directory of them cannot be read (needs root).
    """
    answer, _ = session_of(host).ask(*FIRST)
    processes: Processes = get(host, "processes")
    _whole(answer, processes)
    lines = lines_of(answer)
    tasks = _tasks(host, lines, processes)
    files = [each for each in map(_TASK_FILE.fullmatch, lines) if each and each[1] in tasks]
    states = [each for each in lines if each.startswith("/") and each.endswith(_STATES)]
    crio = [each for each in lines if each.startswith(f"{CRIO}/")]
    monitors = [each for each in processes if each.name == "conmon" and each.uids[1] == 0]
    session_of(host).foresee(*(read(f"/proc/{each.pid}/cmdline") for each in monitors))
    told = [each[0] for each in files if each[2] != MOBY]
    contents = _read(host, [*told, *crio, *states])
    found = [
        tasks[root].bundle(f"{root}/{namespace}/{number}", contents, processes)
        for root, namespace, number in dict.fromkeys(each.group(1, 2, 3) for each in files)
    ]
    found += _crio(crio, contents, processes)
    claims = [each for path in states for each in _claim(path, contents, processes)]
    claims += [each for process in monitors for each in _monitored(process)]
    known = {each.path for each in found}
    found += _raw(host, {each.path: each for each in claims if each.path not in known})
    by_path = {each.path: each for each in reversed(found)}
    return [by_path[path] for path in sorted(by_path)]


def _whole(answer: Answer, processes: Processes) -> None:
    """Expect no complaint but of what is not there, or not any more, and of users' own places:
    what they hide there is no word of root's, and the kernel shows what runs."""
    for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
        place = _USERS.match(line)
        process = processes.get(int(place[1] or 0)) if place else None
        users = place is not None and (not place[1] or (process and process.uids[1] != 0))
        if line.strip() and not line.endswith(_OVER) and not users:
            raise Unknown(f"bundles of containers cannot be listed: {line[:200]}; needs root")


def _read(host: Host, paths: Collection[str]) -> dict[str, str | Unknown]:
    """Return the contents of files, or why they cannot be read; not of those that have gone."""
    answers = session_of(host).ask(*(read(each) for each in paths))
    found: dict[str, str | Unknown] = {}
    for path, answer in zip(paths, answers, strict=True):
        if answer.trouble:
            found[path] = Unknown(answer.trouble)
        elif answer.exit == 0 and len(answer.output) <= FILE_LIMIT:
            found[path] = answer.text
        elif answer.exit == 0:
            found[path] = Unknown(f"{path} is longer than {FILE_LIMIT} bytes")
        elif not answer.complaint.endswith(_OVER):
            found[path] = Unknown(f"{path} cannot be read: {answer.complaint}")
    return found


def _spec(path: str, text: str | Unknown | None) -> Mapping[str, Any] | Unknown:
    if text is None or isinstance(text, Unknown):
        return {} if text is None else text
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError) as error:
        return Unknown(f"{path} is not JSON: {error}")
    return parsed if isinstance(parsed, dict) else Unknown(f"{path} is not a JSON object")


def _process(processes: Processes, pid: str | Unknown | None) -> Process | None:
    """Return the process that a pid file names."""
    known = isinstance(pid, str) and re.fullmatch(r"\d{1,9}\s*", pid)
    return processes.get(int(str(pid))) if known else None


def _alive(
    process: Process | None, number: str, shims: Collection[int] = (), groups: str = ""
) -> int | None:
    """Return the pid of a container's first process, if it lives and did not come later.

    :param shims: the processes that may have started it; ``groups``: its cgroups, if its runtime
        tells.
    """
    if process is None or process.zombie:
        return None
    paths = [path for path in process.cgroups.values() if path.strip("/")]
    own = any(number in path or f'{path}"' in groups for path in paths)
    first = len(process.nspid) >= NESTED and process.nspid[-1] == 1
    return process.pid if own or first or process.ppid in shims else None


@dataclass(frozen=True, slots=True)
class _Tasks:
    """A directory of containerd's tasks, as the host finds it.

    :param owner: the user whose word it is; ``shims`` the processes that serve it.
    """

    place: str
    owner: int
    shims: frozenset[int]

    def bundle(
        self, path: str, contents: Mapping[str, str | Unknown], processes: Processes
    ) -> Bundle:
        """Return what lies in one directory of them, ``path`` being how that was listed."""
        namespace, number = path.split("/")[-2:]
        place = f"{self.place}/{namespace}/{number}"
        spec = _spec(f"{place}/config.json", contents.get(f"{path}/config.json"))
        process = _process(processes, contents.get(f"{path}/init.pid"))
        if self.owner and process is not None and process.ppid not in self.shims:
            process = None
        pid = _alive(process, number, self.shims)
        root = posixpath.dirname(self.place)
        return Bundle(number, namespace, "containerd", place, pid, root, self.owner, spec)


def _tasks(host: Host, lines: Collection[str], processes: Processes) -> dict[str, _Tasks]:
    """Return the directories of tasks by every path they were listed at; not those of a
    containerd in a container, which is a host of its own."""
    here = session_of(host).ask(HERE)[0].text.strip()
    links = {found[1]: found[2] for line in lines if (found := _CWD.fullmatch(line))}
    roots = [found.groups() for line in lines if (found := _ROOT.fullmatch(line))]
    leaders = [(inode, int(found[1])) for inode, _, path in roots if (found := _SHIM.match(path))]
    made: dict[str, _Tasks] = {}
    for inode, owner, path in roots:
        shims = frozenset(pid for other, pid in leaders if other == inode)
        leader = _SHIM.match(path)
        if inode in made:
            continue
        if leader is None:
            made[inode] = _Tasks(path, int(owner), shims)
        elif (process := processes.get(int(leader[1]))) and len(process.nspid) < NESTED:
            link = links.get(leader[1], "").removesuffix(" (deleted)")
            place = f"{link.rsplit('/', 3)[0]}/{posixpath.basename(path)}"
            at_home = "{}:{}".format(*process.namespace("mnt")) == here
            # What is in another root than the host's is not taken for the word of its root.
            made[inode] = (
                _Tasks(place, int(owner), shims) if at_home
                else _Tasks(f"/proc/{leader[1]}/root{place}", process.uids[1] or NOBODY, shims)
            )  # fmt: skip
    return {path: made[inode] for inode, _, path in roots if inode in made}


def _crio(
    paths: Collection[str], contents: Mapping[str, str | Unknown], processes: Processes
) -> Iterator[Bundle]:
    """Yield what is below CRI-O's default runroot; Podman keeps no ``config.json`` there."""
    for path in paths:
        folder, name = posixpath.split(path)
        if name == "config.json":
            number = folder.split("/")[-2]
            process = _process(processes, contents.get(f"{folder}/pidfile"))
            spec = _spec(path, contents.get(path))
            yield Bundle(number, "", "cri-o", folder, _alive(process, number), CRIO, 0, spec)


def _claim(
    path: str, contents: Mapping[str, str | Unknown], processes: Processes
) -> Iterator[Bundle]:
    """Yield what a state of runc (``state.json``), crun (``status``) or youki says of a bundle."""
    folder = posixpath.dirname(path)
    root, number = posixpath.split(folder)
    user = re.match(r"/run/user/(\d+)/", path)
    owner, runtime = int(user[1]) if user else 0, posixpath.basename(root)
    state = _spec(path, contents.get(path))
    if isinstance(state, Unknown):
        yield Bundle(number, "", runtime, folder, None, root, owner, state)
    if isinstance(state, Unknown) or not state:
        return
    config = state.get("config")
    labels = config.get("labels") if isinstance(config, dict) else None
    named = [str(each) for each in labels] if isinstance(labels, list) else []
    places = [each.removeprefix("bundle=") for each in named if each.startswith("bundle=")]
    place = str(state.get("bundle") or (places or [folder])[0])
    pid = state.get("init_process_pid", state.get("pid"))
    process = processes.get(pid) if type(pid) is int else None
    groups = json.dumps([state.get("cgroup_paths"), state.get("cgroup-path")])
    if owner and process is not None and 0 in process.uids:
        process = None
    yield Bundle(number, "", runtime, place, _alive(process, number, (), groups), root, owner)


def _monitored(process: Process) -> Iterator[Bundle]:
    """Yield the bundle that a conmon watches over: ``-c ID -b BUNDLE -r RUNTIME``."""
    words = process.cmdline
    said = dict(pairwise(words))
    number, place = (said.get(short) or said.get(long) for short, long in _CONMON)
    if number and place and place.startswith("/"):
        runtime = posixpath.basename(said.get("-r") or said.get("--runtime") or "")
        yield Bundle(number, "", runtime, place, None, posixpath.dirname(place))


def _raw(host: Host, claims: Mapping[str, Bundle]) -> Iterator[Bundle]:
    """Yield bundles with their ``config.json``, which may lie anywhere. A link is not followed,
    and what a user points at is not read: it could be any file of the host."""
    files: Files = get(host, "files")
    wanted = [f"{path}/config.json" for path, each in claims.items() if _readable(each)]
    seen = dict(zip(wanted, files.all(wanted), strict=True))
    plain = [
        path for path, file in seen.items()
        if file.state == "present" and file.kind == "file" and not file.is_link
    ]  # fmt: skip
    contents = _read(host, plain)
    for place, each in claims.items():
        path = f"{place}/config.json"
        if path not in seen:
            yield each
            continue
        told: Mapping[str, Any] | Unknown = _spec(path, contents.get(path))
        if path not in contents and seen[path].state != "absent":
            told = Unknown(seen[path].reason or f"{path} is no plain file")
        yield _named(replace(each, told=told))


def _readable(claim: Bundle) -> bool:
    """Whether the ``config.json`` of a claimed bundle may be read, and its path be asked for."""
    sane = claim.path.startswith("/") and not re.search(
        "[\0\ud800-\udc7f\udd00-\udfff]", claim.path
    )
    return sane and not claim.owner and not isinstance(claim.told, Unknown)


def _named(bundle: Bundle) -> Bundle:
    """Name the manager of a bundle as its annotations do (CRI-O, libpod)."""
    notes = {} if isinstance(bundle.told, Unknown) else bundle.told.get("annotations")
    manager = notes.get("io.container.manager") if isinstance(notes, dict) else None
    if manager == "cri-o":
        return replace(bundle, runtime="cri-o")
    return replace(bundle, namespace="libpod") if manager == "libpod" else bundle
