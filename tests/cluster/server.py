"""An API server that serves objects: ``with ApiServer(objects, folder) as cluster: …``.

It speaks HTTPS with a certificate of its own authority, wants a token, pages its lists as the real
one does (limit, continue, 410 for a stale token), and answers errors as a Status.
"""

from __future__ import annotations

import base64
import datetime
import ipaddress
import json
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

TOKEN = "auditor-token-of-the-tests"
VERSION = {"major": "1", "minor": "33", "gitVersion": "v1.33.2", "platform": "linux/amd64"}

Objects = Mapping[str, list[dict[str, Any]]]


@dataclass
class Faults:
    """What the server does wrong.

    :param forbidden: paths that are answered with 403. :param pages: objects in one answer.
    :param bodies: what is answered in place of a list; ``drip``: paths that never end.
    :param statuses: paths and the HTTP status they get; ``location``: where it redirects to.
    """

    forbidden: Iterable[str] = ()
    pages: int | None = None
    bodies: Mapping[str, bytes] = field(default_factory=dict)
    drip: Iterable[str] = ()
    statuses: Mapping[str, int] = field(default_factory=dict)
    location: str = ""
    tls: bool = True


class ApiServer:
    """One cluster. ``kubeconfig`` is its file, ``asked`` what it was asked."""

    def __init__(self, objects: Objects, folder: Path, faults: Faults | None = None) -> None:
        self.objects, self.folder, self.faults = objects, folder, faults or Faults()
        self.asked: list[tuple[str, str]] = []
        self.kubeconfig = folder / "kubeconfig"
        self.stopping = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True

    @property
    def spec(self) -> str:
        return f"kubernetes://prod?kubeconfig={self.kubeconfig}"

    def __enter__(self) -> Self:
        authority, chain = certificates(self.folder)
        if self.faults.tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(chain)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.configure({"certificate-authority-data": base64.b64encode(authority).decode()})
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def configure(self, cluster: Mapping[str, Any], token: str = TOKEN) -> None:
        """Write the kubeconfig."""
        scheme = "https" if self.faults.tls else "http"
        server = f"{scheme}://127.0.0.1:{self._server.server_port}"
        self.kubeconfig.write_text(yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "prod",
            "clusters": [{"name": "c", "cluster": {"server": server, **cluster}}],
            "users": [{"name": "u", "user": {"token": token}}],
            "contexts": [{"name": "prod", "context": {"cluster": "c", "user": "u"}}],
        }))  # fmt: skip

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()


def certificates(folder: Path) -> tuple[bytes, Path]:
    """Make an authority and a certificate for 127.0.0.1; return its PEM, and the server's file."""
    now = datetime.datetime.now(datetime.UTC)
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in ("ca", "api")]

    def made(which: int) -> x509.Certificate:
        address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
        usage = x509.KeyUsage(True, False, False, False, False, not which, not which, False, False)
        builder = x509.CertificateBuilder(
            names[0], names[which], keys[which].public_key(), which + 1
        )
        identifier = x509.SubjectKeyIdentifier.from_public_key(keys[which].public_key())
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(keys[0].public_key())
        builder = (
            builder.not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(not which, None), True)
            .add_extension(usage, True)
            .add_extension(identifier, False)
            .add_extension(issuer, False)
        )
        if which:
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), False)
        return builder.sign(keys[0], hashes.SHA256())

    authority, own = (each.public_bytes(serialization.Encoding.PEM) for each in (made(0), made(1)))
    key = keys[1].private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = folder / "server.pem"
    chain.write_bytes(own + key)
    return authority, chain


def _handler(cluster: ApiServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            path, faults = parts.path, cluster.faults
            cluster.asked.append((self.command, self.path))
            kind, _, token = self.headers.get("Authorization", "").partition(" ")
            if kind.lower() != "bearer" or token != TOKEN:
                self._status(401, "Unauthorized")
            elif path in faults.drip:
                self._drip()
            elif path in faults.statuses:
                self._status(faults.statuses[path], "it has other things to do")
            elif path in faults.forbidden:
                kind = path.rpartition("/")[2]
                self._status(403, f'{kind} is forbidden: User "auditor" cannot list resource')
            elif path in faults.bodies:
                self._send(200, faults.bodies[path])
            elif path == "/version":
                self._send(200, json.dumps(VERSION).encode())
            elif path in cluster.objects:
                self._list(cluster.objects[path], parse_qs(parts.query))
            else:
                self._status(404, "the server could not find the requested resource")

        def _list(self, items: list[dict[str, Any]], query: dict[str, list[str]]) -> None:
            limit = min(int(query["limit"][0]), cluster.faults.pages or 10_000)
            first = 0
            if token := query.get("continue"):
                first = json.loads(base64.urlsafe_b64decode(token[0]))["start"]
            last = first + limit
            about: dict[str, Any] = {"resourceVersion": "4711"}
            if last < len(items):
                start = json.dumps({"v": "meta.k8s.io/v1", "rv": 4711, "start": last}).encode()
                about["continue"] = base64.urlsafe_b64encode(start).decode()
            body = {
                "kind": "List",
                "apiVersion": "v1",
                "metadata": about,
                "items": items[first:last],
            }
            self._send(200, json.dumps(body, separators=(",", ":")).encode())

        def _status(self, code: int, message: str) -> None:
            reason = {401: "Unauthorized", 403: "Forbidden", 404: "NotFound"}.get(code, "")
            said = {"kind": "Status", "status": "Failure", "message": message, "reason": reason}
            self._send(code, json.dumps({**said, "code": code}).encode())

        def _send(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if cluster.faults.location:
                self.send_header("Location", cluster.faults.location)
            self.end_headers()
            self.wfile.write(body)

        def _drip(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000000")
            self.end_headers()
            while not cluster.stopping.is_set():
                self.wfile.write(b" ")
                time.sleep(0.05)

        def log_message(self, *_: object) -> None:
            pass

    return Handler
