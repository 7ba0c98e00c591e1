"""syslog-ng: which of its log paths end in a file, which on another host (syslog-ng.conf(5))."""

from __future__ import annotations

import re
from collections.abc import Iterator

from hullcheck.control import Unknown
from hullcheck.facts.conf_files import ConfFiles
from hullcheck.facts.log_routes import FILE, PROGRAM, REMOTE, Route, host_of_target

__all__ = ["syslog_ng_routes"]

CONFIG = "/etc/syslog-ng/syslog-ng.conf"
VIA = "syslog-ng"
DEEPEST = 10

NETWORK = (
    "network", "syslog", "tcp", "udp", "tcp6", "udp6", "http", "elasticsearch-http",
    "opensearch", "kafka-c", "kafka", "loki", "mqtt", "redis", "graylog2", "splunk-hec-event",
    "splunk-hec-raw", "opentelemetry", "syslog-ng-otlp", "sentinel", "logscale", "amqp",
    "google-pubsub", "bigquery", "clickhouse", "s3", "mongodb",
)  # fmt: skip
"""Drivers of destinations that reach another host, most of them by their first argument."""

_COMMENT = re.compile(r"\"(?:\\.|[^\"\\])*\"|'[^']*'|(?<!\S)#[^\n]*", re.S)
_INCLUDE = re.compile(r"@include\s+[\"']?([^\"'\n]+)[\"']?")
_DRIVER = re.compile(r"(?<![\w-])([a-z0-9-]+)\s*\(\s*(\"(?:\\.|[^\"\\])*\"|'[^']*'|[^\s()]*)")
_ADDRESS = re.compile(r"\b(?:url|host|bootstrap-servers|ip)\s*\(\s*[\"']([^\"']+)")


def syslog_ng_routes(files: ConfFiles, first: str = CONFIG) -> list[Route]:
    """Return where syslog-ng sends messages. :raises Unknown: a part of it cannot be read."""
    text = files.text(first)
    if text is None:
        raise Unknown(f"{first} is not to be found, and syslog-ng runs")
    whole = _whole(files, text, 0)
    named = {name: list(_drivers(body)) for name, body in _blocks(whole, "destination")}
    found = []
    for _, body in _blocks(whole, "log"):
        plain = not re.search(r"\b(filter|parser|rewrite|if|junction|channel)\b", body)
        ends = [each for name in _used(body) for each in named.get(name, [])]
        ends += [each for _, inner in _blocks(body, "destination") for each in _drivers(inner)]
        found += [Route(kind, target, plain, VIA) for kind, target in ends]
    return found


def _whole(files: ConfFiles, text: str, depth: int) -> str:
    if depth > DEEPEST:
        raise Unknown("syslog-ng's configuration includes itself")
    plain = _COMMENT.sub(lambda found: " " if found[0].startswith("#") else found[0], text)

    def included(match: re.Match[str]) -> str:
        path = match[1].strip()
        if path == "scl.conf" or path.startswith("/usr/share/"):
            return ""
        place = path if path.startswith("/") else f"/etc/syslog-ng/{path}"
        if not place.startswith("/etc/syslog-ng/"):
            raise Unknown(f"syslog-ng includes {place[:80]}, which was not read")
        place = place.rstrip("/") + ("" if "*" in place or place.endswith(".conf") else "/*")
        texts = (files.text(each) or "" for each in files.matching(place))
        return "\n".join(_whole(files, each, depth + 1) for each in texts)

    return _INCLUDE.sub(included, plain)


def _blocks(text: str, word: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the body of each block of a kind: ``destination d_net { … };``."""
    for found in re.finditer(rf"(?<![\w(.-]){word}(?:\s+([\w.-]+))?\s*\{{", text):
        depth, at = 1, found.end()
        while at < len(text) and depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        yield found[1] or "", text[found.end() : at - 1]


def _used(body: str) -> list[str]:
    return re.findall(r"\bdestination\s*\(\s*[\"']?([\w.-]+)[\"']?\s*\)", body)


def _drivers(body: str) -> Iterator[tuple[str, str]]:
    for found in _DRIVER.finditer(body):
        target = found[2].strip("\"'")
        if found[1] == "file":
            yield FILE, target
        elif found[1] in ("program", "pipe", "unix-stream", "unix-dgram"):
            yield PROGRAM, target
        elif found[1] in NETWORK:
            inside = _ADDRESS.findall(body[found.start() :])
            hosts = [target] if target and found[2][:1] in "\"'" else inside[:1]
            for each in hosts:
                yield REMOTE, host_of_target(each)
