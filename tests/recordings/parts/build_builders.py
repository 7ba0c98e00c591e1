"""Builders, package managers and what signatures rest on, of build hosts and of Docker's hosts."""

from __future__ import annotations

from tests.live.hosts.overlay import OverlayHost

KEY = "/etc/pki/containers/site.pub"
POLICY = """{"default": [{"type": "reject"}], "transports": {"docker": {"registry.example": [
    {"type": "sigstoreSigned", "keyPath": "%s"}]}}}
"""
SOUND = {
    "/etc/buildkit/buildkitd.toml": """
root = "/var/lib/buildkit"
[grpc]
address = ["unix:///run/buildkit/buildkitd.sock", "tcp://0.0.0.0:1234"]
[grpc.tls]
cert = "/etc/buildkit/tls/cert.pem"
key = "/etc/buildkit/tls/key.pem"
ca = "/etc/buildkit/tls/ca.pem"
[registry."docker.io"]
mirrors = ["mirror.example"]
""",
    "/etc/pip.conf": "[global]\nindex-url = https://pypi.example/simple\n",
    "/root/.npmrc": "registry=https://npm.example/\nstrict-ssl=true\n",
    "/root/.config/go/env": "GOPRIVATE=git.example\n",
    "/root/.config/notation/trustpolicy.json": """{"version": "1.0", "trustPolicies": [
    {"name": "site", "registryScopes": ["*"], "signatureVerification": {"level": "strict"},
     "trustStores": ["ca:site"], "trustedIdentities": ["*"]}]}
""",
    "/root/.config/notation/truststore/x509/ca/site/ca.crt": "certificate\n",
    KEY: "key\n",
    "/etc/containers/policy.json": POLICY % KEY,
    "/etc/containers/registries.d/site.yaml":
    "docker:\n  registry.example:\n    use-sigstore-attachments: true\n",
}  # fmt: skip

ROTTEN = {
    "/etc/buildkit/buildkitd.toml": """
insecure-entitlements = ["network.host", "security.insecure"]
[grpc]
address = ["tcp://0.0.0.0:1234"]
debugAddress = "0.0.0.0:6060"
[worker.oci]
gc = false
[registry."docker.io"]
mirrors = ["mirror.example:5000"]
[registry."mirror.example:5000"]
http = true
""",
    "/root/.docker/buildx/instances/fast": """{"Name":"fast","Driver":"docker-container","Nodes":[
{"Name":"fast0","Endpoint":"unix:///var/run/docker.sock","DriverOpts":null,
"Flags":["--allow-insecure-entitlement","security.insecure"],"Files":null}]}
""",
    "/etc/apt/sources.list.d/x.list": "deb [trusted=yes] http://debs.example/ ./\n",
    "/etc/apt/apt.conf.d/99x": 'APT::Get::AllowUnauthenticated "true";\n',
    "/etc/pip.conf": "[global]\ntrusted-host = pypi.example\n"
    "extra-index-url = https://pypi.example/simple\n",
    "/root/.npmrc": "strict-ssl=false\n//npm.example/:_authToken=hunter2planted\n",
    "/root/.config/go/env": "GOSUMDB=off\n",
    "/root/.curlrc": "insecure\n",
    "/etc/environment": "DOCKER_CONTENT_TRUST=1\n",
    "/root/.config/notation/trustpolicy.json": """{"version": "1.0", "trustPolicies": [
    {"name": "all", "registryScopes": ["*"], "signatureVerification": {"level": "audit"},
     "trustStores": ["ca:gone"], "trustedIdentities": ["*"]}]}
""",
    KEY: "key\n",
    "/etc/containers/policy.json": POLICY % KEY,
    "/etc/containers/registries.d/site.yaml":
    "default-docker:\n  lookaside: http://signatures.example\n",
}  # fmt: skip

PLACE = "/usr/local/bin/buildkitd"
SERVE = "import time; time.sleep(1000000)"
"""What the stand-in for buildkitd does: Python leaves the arguments after -c alone."""


def start(host: OverlayHost, *flags: str, before: str = "") -> int:
    """Start a program named buildkitd with some flags; return its pid."""
    words = " ".join(flags)
    host.run(f"ln -sf /usr/bin/python3 {PLACE}")
    host.run(
        f"{before} {PLACE} -c '{SERVE}' {words} >/dev/null 2>&1 </dev/null & echo $! >/run/bk.pid"
    )
    host.run(
        "n=0; until [ $(cat /proc/$(cat /run/bk.pid)/comm) = buildkitd ];"
        " do sleep 0.02; n=$((n+1)); [ $n -lt 200 ] || exit 1; done"
    )
    return int(host.run("cat /run/bk.pid").stdout)


def _write(host: OverlayHost, files: dict[str, str]) -> None:
    script = "umask 022\n"
    for path, text in files.items():
        folder = path.rpartition("/")[0]
        script += f"mkdir -p {folder}\ncat >{path} <<'= end'\n{text.rstrip()}\n= end\n"
    host.run(script)


def builder_sound(host: OverlayHost) -> None:
    """A rootless builder with mutual TLS; everything is verified."""
    _write(host, SOUND)
    start(host, "--config", "/etc/buildkit/buildkitd.toml", before="exec unshare -U -r")


def builder_rotten(host: OverlayHost) -> None:
    """A builder of root's, open to all; nothing is verified."""
    _write(host, ROTTEN)
    host.run(f"chmod 666 {KEY}")
    start(host, "--debug", before="exec env DOCKER_CONTENT_TRUST=1")


VERIFIER = "/opt/containerd/image-verifier/bin/verify"


def sound(host: OverlayHost) -> None:
    """The key that parts/podman.py names, and a verifier of images."""
    host.write("/etc/pki/registry.gpg", "key\n")
    host.write(VERIFIER, "#!/bin/sh\nexit 1\n", 0o755)


def rotten(host: OverlayHost) -> None:
    """A verifier that anybody can change."""
    host.write(VERIFIER, "#!/bin/sh\nexit 0\n", 0o777)
