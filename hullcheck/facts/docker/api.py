"""Asking a Docker daemon: its own client, curl where there is none.

Where there are both, curl asks on a socket, in a third of the time; should it fail for any reason,
the client asks, and says why. The client runs with an empty configuration directory, so that no
plugin, context or credential helper of a home directory is run. Only requests that read are made.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.docker.shapes import (
    CONTAINER,
    IMAGE,
    INFO,
    NETWORK,
    STEP,
    VERSION,
    misfit,
)
from hullcheck.transport import Answer, Want, session_of, want

__all__ = ["CLIENT", "Api", "client_of", "is_docker", "probe_want", "version_want"]

CLIENT = want(
    "DOCKER_CONFIG=/nonexistent DOCKER_HOST=unix:///nonexistent docker --version",
    meaning=(0, 1, 2, 125, 126, 127),
)
"""Which client there is; Podman ships a ``docker`` that does not speak to other daemons. Docker
20.10 asks the default daemon even for this, and so would wake one that waits for its socket."""

_GONE = re.compile(r"no such (container|object|image|network)|returned error: 404", re.IGNORECASE)
_DENIED = re.compile(r"permission denied", re.IGNORECASE)
_REFUSAL = re.compile(
    r"(bad|unknown) certificate|certificate required|(alert|handshake) .*failure|remote error: tls"
    r"|malformed HTTP|(HTTP request (was sent )?|request )to an HTTPS|HTTP/0\.9"
    r"|wrong version number|SSL_read|SSL_connect",
    re.IGNORECASE,
)
"""What a client says when the other side speaks TLS, or wants a certificate."""

_FAILS = (0, 1, 2, 7, 22, 28, 52, 56, 124, 125, 126, 127)
"""Exit codes of docker and of curl (not connected, HTTP error, timed out, empty, reset …):
all are answers here, and a failure is told from its text."""

_TLS_FAILS = (*_FAILS, 1, 35, 55, 56, 58, 60)

_IDS = "tr ',{' '\\n\\n' | sed -n 's/^\"Id\":\"\\([0-9a-z:]*\\)\"$/\\1/p'"
"""Cuts the ids out of a listing of the bare API."""

_JSON = "--format '{{json .}}'"

HISTORIES, HISTORY_LIMIT = 25, 256 * 1024
"""How many histories one command tells, and how many bytes of each: together less than what is
kept of an answer, and one image's cannot cut off another's."""


def version_want(address: str, client: bool = True) -> Want:
    """Return the want for a daemon's version. See :class:`Api` for the parameters."""
    return _ask(address, f"version {_JSON}", "/version", client)


def probe_want(address: str, client: bool = True) -> Want:
    """Return the want for a version from what may be no daemon at all, and may never answer."""
    asked = _ask(address, f"version {_JSON}", "/version", client).command
    limited = asked.replace(" docker ", " timeout 5 docker ", 1).replace(" -m 15 ", " -m 5 ", 1)
    return want(limited, meaning=_FAILS)


def is_docker(version: Any) -> bool:
    """Whether an answer to ``version`` is a Docker daemon's; Podman's API answers too."""
    server = _server(version)
    if not isinstance(server, dict) or not isinstance(server.get("ApiVersion"), str):
        return False
    return not any("podman" in name.lower() for name in _components(server))


def _components(server: dict[str, Any]) -> list[str]:
    components = server.get("Components")
    listed = components if isinstance(components, list) else []
    return [str(each.get("Name", "")) for each in listed if isinstance(each, dict)]


def _server(version: Any) -> Any:
    return version.get("Server", version) if isinstance(version, dict) else version


class Api:
    """The read-only questions to one daemon.

    :param address: ``unix:///path`` or ``tcp://address:port``.
    :param client: whether the host has Docker's own client; else curl is used.
    """

    def __init__(self, host: Host, address: str, client: bool) -> None:
        self.host = host
        self.address = address
        self.client = client

    def wants(self) -> tuple[Want, ...]:
        """The questions that nearly every control needs: version, info and networks."""
        return (
            version_want(self.address, self.client),
            _ask(self.address, f"info {_JSON}", "/info", self.client),
            self._all("network ls -q --no-trunc", "network inspect", "/networks"),
        )

    def version(self) -> dict[str, Any]:
        """Return the server's part of the version. :raises Unknown: it gave none."""
        answer = session_of(self.host).ask(*self.wants())[0]
        server = _server(self._object(answer))
        if not isinstance(server, dict):
            raise Unknown(f"{self.address}: {_complaint(answer)}")
        if not is_docker(server):
            raise Unknown(f"{self.address} does not answer as a Docker daemon")
        self._fits(server, VERSION)
        return server

    def info(self) -> dict[str, Any]:
        """Return what the daemon says of itself. :raises Unknown: it says nothing usable."""
        answer = session_of(self.host).ask(*self.wants())[1]
        info = self._object(answer)
        errors = info.get("ServerErrors")
        if errors:
            raise Unknown(f"{self.address}: {_reason(str(errors[0]))}")
        self._fits(info, INFO)
        return info

    def networks(self) -> list[dict[str, Any]]:
        """Return every network, inspected."""
        found = self._list(session_of(self.host).ask(*self.wants())[2])
        for each in found:
            self._fits(each, NETWORK)
        return found

    def containers(self) -> list[dict[str, Any]]:
        """Return every container in any state, inspected, with one command.

        One that was removed meanwhile is left out.
        """
        found = self._list(*session_of(self.host).ask(self.containers_want()))
        for each in found:
            self._fits(each, CONTAINER)
        return found

    def _fits(self, answer: Any, shape: Any) -> None:
        wrong = misfit(answer, shape)
        if wrong:
            raise Unknown(f"{self.address} answers nonsense: no engine has such a {wrong}")

    def containers_want(self) -> Want:
        """The question for every container."""
        return self._all("ps -aq --no-trunc", "inspect --type container", "/containers/json?all=1")

    def images(self) -> list[dict[str, Any]]:
        """Return every image but those that only cache a build, inspected, with one command."""
        return self._images(self.images_want())

    def images_want(self) -> Want:
        """The question for every image.

        Since 29.0 the client lists untagged ones with -a only (docker/cli#6574), which of older
        engines would list what only caches a build, unless it is limited to the dangling.
        """
        listing = "image ls -q --no-trunc && %s image ls -aq --no-trunc -f dangling=true"
        return self._all(listing % client_of(self.address), "image inspect", "/images/json")

    def further_images(self, ids: Sequence[str]) -> list[dict[str, Any]]:
        """Return some images, inspected; one that is gone is left out."""
        return self._images(_ask_some(self.address, ids, self.client)) if ids else []

    def _images(self, question: Want) -> list[dict[str, Any]]:
        found = self._list(*session_of(self.host).ask(question))
        for each in found:
            self._fits(each, IMAGE)
        return list({each["Id"]: each for each in found}.values())

    def history(self, image: str, images: Sequence[str]) -> list[dict[str, Any]]:
        """Return an image's history, the last step first; some are asked for together.

        :param images: all images whose history will be asked for.
        :raises NotApplicable: the image is gone.
        :raises Unknown: the engine does not tell.
        """
        answer = session_of(self.host).ask(*self.history_wants(images))[
            images.index(image) // HISTORIES
        ]
        parts = re.split(r"^# (.*)$", answer.text, flags=re.MULTILINE)
        told = dict(pairwise(parts)).get(image, "").strip()
        if told != "." and not told.endswith("\n."):
            errors = answer.evidence.stderr.decode("utf-8", "replace").splitlines()
            if not told and errors and all(map(_GONE.search, errors)):
                raise NotApplicable("it was removed while it was looked at")
            raise Unknown(f"{self.address} does not tell its history")
        return self._history(told.removesuffix("."))

    def _history(self, told: str) -> list[dict[str, Any]]:
        try:
            steps = _documents(told)
        except (ValueError, RecursionError):
            raise Unknown(f"{self.address} tells a history that is nonsense, or too long") from None
        for each in steps:
            self._fits(each, STEP)
        return steps

    def history_wants(self, images: Sequence[str]) -> list[Want]:
        """The questions for the histories of some images."""
        docker = f"{client_of(self.address)} image history --no-trunc --human=false {_JSON} $i"
        one = _either(self.address, docker, "/images/$i/history", self.client)
        whole = f"{{ {one} && echo && echo .; }} | head -c {HISTORY_LIMIT}"
        return [
            want(
                f"for i in {' '.join(map(shlex.quote, images[first : first + HISTORIES]))}; do "
                f'echo "# $i"; {whole}; echo; done',
                seconds=60,
            )
            for first in range(0, len(images), HISTORIES)
        ]

    def strangers(self, listener: str) -> tuple[Want, Want]:
        """Return the question for a version over TCP in the clear, and over TLS without a
        certificate of one's own."""
        quoted, place = shlex.quote(listener), shlex.quote(listener.removeprefix("tcp://"))
        if self.client:
            # Without a certificate of one's own, and without a file of trusted ones, which there
            # need not be: the client strips the quotes and finds nothing to read.
            docker = f"NO_PROXY='*' DOCKER_CONFIG=/nonexistent timeout 10 docker -H {quoted}"
            return (
                want(f"{docker} version {_JSON}", meaning=_FAILS),
                want(f"{docker} --tls --tlscacert='\"\"' version {_JSON}", meaning=_FAILS),
            )
        curl = "curl -qsSk -m 10 --noproxy '*'"
        return (
            want(f"{curl} http://{place}/version", meaning=_TLS_FAILS),
            want(f"{curl} https://{place}/version", meaning=_TLS_FAILS),
        )

    def answered(self, answer: Answer) -> bool | None:
        """Whether a daemon answered a stranger; None if neither an answer nor a refusal came."""
        try:
            if is_docker(json.loads(answer.text)):
                return True
        except (ValueError, RecursionError):
            pass
        said = answer.evidence.stderr.decode("utf-8", "replace") + answer.text
        return False if _REFUSAL.search(said) else None

    def _all(self, listing: str, inspect: str, path: str) -> Want:
        if not self.client:
            return _ask_each(self.address, path)
        docker, listed = client_of(self.address), f"{client_of(self.address)} {listing}"
        if path == "/networks":
            whole = f"{{ {_inspected(docker, listed, inspect)}; }}"
            return want(_either(self.address, whole, path, client=True), meaning=_FAILS, seconds=60)
        if self.address.startswith("unix://"):
            # Ids that were looked for and not found are no empty list.
            curl, base = _curl(self.address)
            listed = (
                f"{{ l=$({curl} '{base}{path}' 2>/dev/null) && i=$(printf '%s' \"$l\" | {_IDS}) && "
                f'{{ [ -n "$i" ] || [ "$l" = "[]" ]; }} && echo "$i"; }} || {{ {listed}; }}'
            )
        return want(_inspected(docker, listed, inspect), meaning=_FAILS, seconds=60)

    def _object(self, answer: Answer) -> dict[str, Any]:
        parsed = self._parsed(answer, json.loads)
        if not isinstance(parsed, dict):
            raise Unknown(f"{self.address} answers nonsense: {_glimpse(answer)}")
        return parsed

    def _list(self, answer: Answer) -> list[dict[str, Any]]:
        """Return a list of objects, if all that is missing is what was removed meanwhile."""
        if answer.exit != 0:
            lines = answer.evidence.stderr.decode("utf-8", "replace").splitlines()
            others = [line for line in lines if line.strip() and not _GONE.search(line)]
            if others or not lines:
                raise Unknown(f"{self.address}: {_complaint(answer)}")
        found: list[dict[str, Any]] = self._parsed(answer, _documents)
        if not all(isinstance(each, dict) and ("Id" in each) for each in found):
            raise Unknown(f"{self.address} answers nonsense: {_glimpse(answer)}")
        return found

    def _parsed(self, answer: Answer, parse: Callable[[str], Any]) -> Any:
        text = answer.text.strip()
        if not text:
            raise Unknown(f"{self.address}: {_complaint(answer)}")
        try:
            return parse(text)
        except (ValueError, RecursionError):
            raise Unknown(f"{self.address} answers nonsense: {_glimpse(answer)}") from None


def _documents(text: str) -> list[Any]:
    """Parse JSON documents that stand one after another; lists among them are joined."""
    decoder, found, position = json.JSONDecoder(), [], 0
    while position < len(text):
        document, position = decoder.raw_decode(text, position)
        found += document if isinstance(document, list) else [document]
        while position < len(text) and text[position].isspace():
            position += 1
    return found


def client_of(address: str) -> str:
    """Return how the client is run for a daemon."""
    return f"DOCKER_CONFIG=/nonexistent docker -H {shlex.quote(address)}"


def _inspected(docker: str, listing: str, inspect: str) -> str:
    found = f'if [ -n "$ids" ]; then {docker} {inspect} $ids; else echo "[]"; fi'
    return f"ids=$({listing}) && {{ {found}; }}"


def _curl(address: str) -> tuple[str, str]:
    """Return curl's command line for a daemon, and the address that paths are added to."""
    if address.startswith("unix://"):
        socket = shlex.quote(address.removeprefix("unix://"))
        return f"curl -qsSf -m 15 --noproxy '*' --unix-socket {socket}", "http://docker"
    return "curl -qsSf -m 15 --noproxy '*'", address.replace("tcp://", "http://", 1)


def _ask(address: str, command: str, path: str, client: bool) -> Want:
    docker = f"{client_of(address)} {command}"
    return want(_either(address, docker, path, client), meaning=_FAILS)


def _either(address: str, docker: str, path: str, client: bool) -> str:
    """Return what asks for a path: curl, the client, or curl and, where that fails, the client.

    Over TCP it is the client alone, so that one question makes one connection.
    """
    curl, base = _curl(address)
    bare = f"{curl} {base}{path}"
    if not client:
        return bare
    return f"{{ {bare} 2>/dev/null || {docker}; }}" if address.startswith("unix://") else docker


def _ask_each(address: str, path: str) -> Want:
    """Return the want that inspects everything of a listing through the bare API.

    Networks are whole in the listing. Of others the ids are cut out of it to build the next
    requests; what is decided is decided from those.
    """
    curl, base = _curl(address)
    if path == "/networks":
        return want(f"{curl} {base}{path}", meaning=_FAILS)
    kind = path.split("/")[1]
    return want(
        f"l=$({curl} '{base}{path}') || exit $?; r=0; ids=$(printf '%s' \"$l\" | {_IDS}); "
        f'[ -n "$ids" ] || echo "[]"; '
        f'for i in $ids; do {curl} "{base}/{kind}/$i/json" || r=$?; done; exit $r',
        meaning=_FAILS,
        seconds=60,
    )


def _ask_some(address: str, ids: Sequence[str], client: bool) -> Want:
    named = " ".join(map(shlex.quote, ids))
    if client:
        return want(f"{client_of(address)} image inspect {named}", meaning=_FAILS)
    curl, base = _curl(address)
    each = f"for i in {named}; do {curl} {base}/images/$i/json || r=$?; done"
    return want(f'echo "[]"; r=0; {each}; exit $r', meaning=_FAILS)


def _complaint(answer: Answer) -> str:
    if answer.evidence.exit == 127:
        return "the host has neither docker nor curl to ask it with"
    return _reason(answer.complaint or f"exit code {answer.evidence.exit}")


def _reason(text: str) -> str:
    """Return why a daemon could not be asked, in few words."""
    if _DENIED.search(text):
        return "permission denied on the engine's socket (needs root)"
    return text.strip().rstrip(".")[:200]


def _glimpse(answer: Answer) -> str:
    return " ".join(answer.text.split())[:60] or "nothing"
