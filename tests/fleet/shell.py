"""A shell that reads the scripts of hullcheck.transport.batch, and looks the commands up."""

from __future__ import annotations

import re

from tests.fleet.answers import Answers, unquoted

__all__ = ["Script"]

_NEXT = re.compile(rb'^(?:hc_nonce=(?P<nonce>\w+)|hc_mark "<(?P<position>\d+) \$hc_me")\n', re.M)

_FORMS = (
    (b"( eval ", b" ) </dev/null"),
    (b"hc_apart ", b" 6>&1 7>&2"),
)


class Script:
    """The standard input of a shell, as it comes.

    A command is answered as soon as the line after it is there, as a shell does; what is not
    whole waits for more.
    """

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._nonce = b""
        self._rest = b""

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Take more of the script; return what comes on standard output and standard error."""
        text = self._rest + data
        out: list[bytes] = []
        err: list[bytes] = []
        done = 0
        while found := _NEXT.search(text, done):
            if nonce := found["nonce"]:
                self._nonce, done = nonce, found.end()
                continue
            close = b'\nhc_mark ">%s $?"\n' % found["position"]
            end = text.find(close, found.end() - 1)
            if end < 0:
                break
            self._answer(found["position"], text[found.end() : end], out, err)
            done = end + len(close)
        self._rest = text[done:]
        return b"".join(out), b"".join(err)

    def _answer(self, position: bytes, line: bytes, out: list[bytes], err: list[bytes]) -> None:
        reply, mark = self._answers.reply(_command(line))
        begin = b"\n%s<%s 1 1\n" % (self._nonce, position)
        end = b"\n%s>%s %d\n" % (self._nonce, position, reply.code)
        out += (begin, reply.stdout(mark), end)
        err += (begin, reply.stderr, end)


def _command(line: bytes) -> bytes:
    """Return the command that a line of a script runs."""
    for before, after in _FORMS:
        if line.startswith(before) and line.endswith(after):
            return unquoted(line[len(before) : -len(after)])
    return line.removesuffix(b" </dev/null")
