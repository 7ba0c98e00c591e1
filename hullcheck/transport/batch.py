"""Many commands through one shell: framing, limits, and going on after a command that hung.

The shell reads the script from its standard input. Every command is run in a subshell with
``</dev/null`` between a begin and an end mark, on standard output and standard error alike. The
marks carry a nonce that only the script knows.
"""

from __future__ import annotations

import contextlib
import secrets
import shlex
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from hullcheck.transport.merge import Job, jobs, single
from hullcheck.transport.want import LIMIT, Evidence, Unreachable, Want

__all__ = ["Batch", "Lost", "Shell", "Sink"]

KEPT = 64 * 1024
"""Bytes of each stream that stay of an answer that is of no use: what it was can be seen, and a
host that floods does not keep the auditor busy with it."""

GRACE = 10.0
"""Seconds that the network may add to a command's own time limit."""

PROLOGUE = """\
PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C HOME=/nonexistent; export PATH LC_ALL HOME
unset IFS ENV BASH_ENV CDPATH LANGUAGE LS_COLORS SSH_CLIENT SSH_CONNECTION \
LD_PRELOAD LD_LIBRARY_PATH DOCKER_HOST DOCKER_CONFIG DOCKER_TLS DOCKER_TLS_VERIFY \
DOCKER_CERT_PATH DOCKER_API_VERSION DOCKER_CONTEXT CONTAINER_HOST XDG_CONFIG_HOME GREP_OPTIONS \
QUOTING_STYLE TIME_STYLE POSIXLY_CORRECT TERM; unalias -a
umask 077; cd /; set +e
hc_mark() { printf '\\n%s%s\\n' "$hc_nonce" "$1"; printf '\\n%s%s\\n' "$hc_nonce" "$1" >&2; }
hc_born() { hc_b=; read -r hc_b <"/proc/$1/stat" && set -- $hc_b && hc_b=${22}; } 2>/dev/null
hc_end() { set -- "$1" $(cat "/proc/$1/task/$1/children" 2>/dev/null); kill -9 "$1" 2>/dev/null
shift; for hc_c in "$@"; do hc_end "$hc_c"; done; }
hc_stop() { hc_born "$1"; if [ -n "$2" ] && [ "$hc_b" = "$2" ]; then hc_end "$1"; fi; }
hc_born $$; hc_me="$$ $hc_b"
hc_apart() { hc_code=$({ { { ( eval "$1" ) </dev/null 5>&- 6>&- 7>&-; echo $? >&5; } 2>&3 3>&- |
cat >&6 5>&-; } 3>&1 | cat >&7 5>&-; } 5>&1); return "${hc_code:-255}"; }
"""
"""What every script begins with. ``hc_apart`` runs a command with pipes of its own and waits until
they are closed: what a child of it writes later is still its output, not the next command's."""


class Lost(Exception):
    """The connection broke; the text says how."""


class Shell(Protocol):
    """Something that can start ``/bin/sh -s`` on the host."""

    def stream(self, script: bytes, sink: Sink) -> None:
        """Feed a script to a shell and its output to the sink.

        Writes and reads both streams at the same time. Returns at the end of the shell's
        output, or as soon as ``sink.finished`` is true or ``sink.deadline`` has passed. A shell
        whose script was whole waits for the next one; any other is killed or cut off.

        :raises Lost: the connection broke. :raises Unreachable: there was none to be had.
        """
        ...

    def close(self) -> None:
        """Close the connection, if there is one."""
        ...


class Sink:
    """Takes the two streams of one shell apart into evidence, frame by frame."""

    def __init__(self, work: Sequence[Job], nonce: str) -> None:
        self.jobs = work
        self.nonce = nonce
        self.done: list[Evidence] = []
        self.shell = ""
        self.overflow = False
        self._nonce = nonce.encode()
        self._buffers = {"out": bytearray(), "err": bytearray()}
        self._ended: dict[str, list[tuple[int, bytes]]] = {"out": [], "err": []}
        self._scanned = {"out": 0, "err": 0}
        self._begun = time.time()
        self._clock = time.monotonic()
        self.noise = b""

    @property
    def finished(self) -> bool:
        """Whether there is nothing left to wait for."""
        return self.overflow or self.whole

    @property
    def whole(self) -> bool:
        """Whether every command has ended."""
        return len(self.done) == len(self.jobs)

    @property
    def deadline(self) -> float:
        """When, by ``time.monotonic``, the command that is running has hung."""
        position = min(len(self.done), len(self.jobs) - 1)
        return self._clock + self.jobs[position].seconds + GRACE

    def out(self, data: bytes) -> None:
        """Take bytes of standard output."""
        self._take("out", data)

    def err(self, data: bytes) -> None:
        """Take bytes of standard error."""
        self._take("err", data)

    def _take(self, stream: str, data: bytes) -> None:
        buffer = self._buffers[stream]
        buffer += data
        while True:
            position = len(self._ended[stream])
            found = self._mark(b">", position, buffer, self._scanned[stream])
            if not found:
                self._scanned[stream] = max(0, len(buffer) - len(self._nonce) - 24)
                break
            start, code, end = found
            body = self._body(bytes(buffer[:start]), position)
            del buffer[:end]
            self._scanned[stream] = 0
            self._ended[stream].append((int(code), body))
        self._complete()
        self.overflow = self.overflow or len(buffer) > LIMIT + 4096

    def _mark(
        self, kind: bytes, position: int, data: bytes | bytearray, start: int = 0
    ) -> tuple[int, bytes, int] | None:
        """Return where a mark starts, what it says, and where it ends; None: not there yet."""
        head = b"\n%s%s%d " % (self._nonce, kind, position)
        found = data.find(head, start)
        end = data.find(b"\n", found + len(head)) if found >= 0 else -1
        return (found, bytes(data[found + len(head) : end]), end + 1) if end >= 0 else None

    def _body(self, frame: bytes, position: int) -> bytes:
        """Cut everything up to and with the begin mark off a frame."""
        begin = self._mark(b"<", position, frame)
        if begin is None:
            return frame
        self.shell = begin[1].decode()
        return frame[begin[2] :]

    def _complete(self) -> None:
        while len(self.done) < min(len(self._ended["out"]), len(self._ended["err"])):
            position = len(self.done)
            code, stdout = self._ended["out"][position]
            _, stderr = self._ended["err"][position]
            self._finish(self.jobs[position].command, code, stdout, stderr)

    def _finish(self, command: str, code: int, stdout: bytes, stderr: bytes) -> None:
        trouble = f"gave more than {LIMIT} bytes" if max(len(stdout), len(stderr)) > LIMIT else ""
        most = KEPT if trouble else LIMIT
        now = time.monotonic()
        self.done.append(
            Evidence(
                command, code, stdout[:most], stderr[:most],
                self._begun, round(now - self._clock, 6), trouble=trouble,
            )
        )  # fmt: skip
        self._begun, self._clock = time.time(), now

    def interrupted(self, why: str) -> Evidence:
        """Return what there is of the command that was running when it all ended."""
        position = len(self.done)
        parts = []
        for stream in ("out", "err"):
            ended = self._ended[stream]
            rest = self._body(bytes(self._buffers[stream]), position)
            parts.append(ended[position][1] if len(ended) > position else rest)
        seconds = round(time.monotonic() - self._clock, 6)
        command = self.jobs[position].command
        cut = [part[:KEPT] for part in parts]
        return Evidence(command, None, cut[0], cut[1], self._begun, seconds, trouble=why)

    @property
    def started(self) -> bool:
        """Whether the shell on the other side has run anything."""
        begun = b"\n%s<0 " % self._nonce
        return bool(self.done) or begun in self._buffers["out"] or begun in self._buffers["err"]

    @property
    def preamble(self) -> str:
        """What came instead of a first mark, for the message that nothing was started."""
        text = bytes(self._buffers["err"] + self._buffers["out"]).decode("utf-8", "replace")
        return " ".join(text.split())[:300]


class Batch:
    """A wire that sends its wants as one script over one shell."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._hung = ""
        self._lost = ""
        self._reached = False
        self._refused: Unreachable | None = None

    def perform(self, wants: Sequence[Want]) -> Iterator[Evidence]:
        """Yield the evidence of each want, in any order. See :class:`Wire`."""
        if self._refused is not None:
            raise self._refused
        try:
            yield from self._perform(wants)
        except Unreachable as unreachable:
            self._refused = unreachable
            raise

    def _perform(self, wants: Sequence[Want]) -> Iterator[Evidence]:
        left = jobs(wants)
        reconnects = 1
        while left:
            if self._lost:
                yield from (_unanswered(each, self._lost) for job in left for each in job.wants)
                return
            sink = Sink(left, secrets.token_hex(16))
            broken = self._stream(sink, left)
            finished = [*sink.done, *self._unfinished(sink, broken)]
            again: list[Job] = []
            for job, evidence in zip(left, finished, strict=False):
                parts = job.split(evidence)
                if parts is None:
                    again += map(single, job.wants)
                else:
                    yield from parts
            left = [*left[len(finished) :], *again]
            if broken and not reconnects:
                self._give_up(broken)
            reconnects -= bool(broken)

    def _stream(self, sink: Sink, work: Sequence[Job]) -> str:
        """Run a script; return how the connection broke, or "" if it did not."""
        broken = ""
        try:
            self._shell.stream(self._script(sink, work), sink)
        except Lost as lost:
            broken = str(lost)
        except Unreachable as unreachable:
            if not self._reached:
                raise
            broken = str(unreachable)
        except BaseException:
            self._unfinished(sink, "interrupted")
            raise
        if not sink.started and not broken and self._reached:
            broken = f"no shell any more: {sink.preamble or 'the host said nothing'}"
        if sink.started:
            self._reached, self._hung = True, ""
        return broken

    def _unfinished(self, sink: Sink, broken: str) -> list[Evidence]:
        """Return what there is of the command that a script did not get beyond, if any."""
        if sink.whole:
            return []
        if not sink.started:
            if broken:
                return []
            said = sink.preamble or "it said nothing"
            raise Unreachable("shell", f"the host did not run /bin/sh -s: {said}")
        evidence = sink.interrupted(self._why(sink, broken))
        self._hung = sink.shell
        return [evidence]

    def _give_up(self, broken: str) -> None:
        if not self._reached:
            raise Unreachable("lost", f"the connection broke twice: {broken}")
        self._lost = f"connection lost: {broken}"

    def _script(self, sink: Sink, work: Sequence[Job]) -> bytes:
        lines = [f"hc_nonce={sink.nonce}"]
        if self._hung:
            lines.append(f"hc_stop {self._hung}")
        for position, each in enumerate(work):
            lines.append(f'hc_mark "<{position} $hc_me"')
            lines.append(_line(each))
            lines.append(f'hc_mark ">{position} $?"')
        text = PROLOGUE + "\n".join(lines) + "\n"
        return text.encode("utf-8", "surrogateescape")

    @staticmethod
    def _why(sink: Sink, broken: str) -> str:
        if broken:
            return f"connection lost: {broken}"
        if sink.overflow:
            return f"gave more than {LIMIT} bytes"
        if time.monotonic() >= sink.deadline:
            return f"timed out after {sink.jobs[len(sink.done)].seconds:g} s"
        return "the shell ended before the command did"

    def close(self) -> None:
        """End what hung, and close the connection; what is asked later has no answer."""
        try:
            if self._hung and not self._lost and not self._refused:
                last = [single(Want(":", seconds=0))]
                sink = Sink(last, secrets.token_hex(16))
                with contextlib.suppress(Lost, Unreachable):
                    self._shell.stream(self._script(sink, last), sink)
        finally:
            self._hung = ""
            self._lost = self._lost or "the connection was closed"
            self._shell.close()


def _line(job: Job) -> str:
    """Return how a command is run so that it cannot reach the script, nor the next command."""
    if job.alone:
        return f"{job.command} </dev/null"
    if job.apart:
        return f"hc_apart {shlex.quote(job.command)} 6>&1 7>&2"
    return f"( eval {shlex.quote(job.command)} ) </dev/null"


def _unanswered(asked: Want, why: str) -> Evidence:
    return replace(Evidence(asked.command, None, b"", b"", time.time()), trouble=why)
