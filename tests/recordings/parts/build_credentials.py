"""Credentials on hosts that build: kept as they should be, and lying about.

The secrets are made up, and no value of them reaches a recording.
"""

from __future__ import annotations

import base64
import json

from tests.live.hosts.overlay import OverlayHost

OPENSSH = "-----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY-----\n"


def openssh(cipher: str) -> str:
    """Return a key file that says what cipher it is under; nobody has the key."""
    name = cipher.encode()
    body = b"openssh-key-v1\0" + len(name).to_bytes(4, "big") + name + b"\0" * 90
    return OPENSSH.format(base64.b64encode(body).decode())


SOUND = {
    "/home/runner/.docker/config.json": json.dumps(
        {"auths": {"registry.example": {}}, "credsStore": "pass"}
    ),
    "/home/runner/.npmrc": "//registry.example/:_authToken=${NPM_TOKEN}\nstrict-ssl=true\n",
    "/home/runner/.aws/credentials": "[default]\naws_secret_access_key = made-up-for-recordings\n",
    "/home/runner/.gitconfig": "[credential]\n\thelper = cache\n"
    "[safe]\n\tdirectory = /srv/build/x\n",
    "/home/runner/.ssh/id_ed25519": openssh("aes256-ctr"),
    "/srv/build/x/.env": "DB_PASSWORD=made-up-for-recordings\n",
    "/etc/environment": "LANG=C.UTF-8\nDB_PASSWORD_FILE=/run/secrets/db\n",
    "/etc/systemd/system/builds.service": "[Service]\nEnvironment=LANG=C\nExecStart=/bin/true\n",
    "/usr/local/bin/docker-credential-pass": "#!/bin/false\n",
}

ROTTEN = {
    "/home/runner/.docker/config.json": json.dumps(
        {
            "auths": {"registry.example": {"auth": "bWFkZTp1cA=="}},
            "credHelpers": {"other.example": "loose"},
            "proxies": {"default": {"httpProxy": "http://made:up@proxy.example"}},
        }
    ),
    "/home/runner/.npmrc": "//registry.example/:_authToken=made-up-for-recordings\n",
    "/home/runner/.aws/credentials": "[default]\naws_secret_access_key = made-up-for-recordings\n",
    "/home/runner/.gitconfig": '[credential]\n\thelper = store\n[http]\n\tsslVerify = false\n'
    '[safe]\n\tdirectory = *\n[core]\n\thooksPath = /srv/hooks\n'
    '[url "https://made:up@git.example/"]\n\tinsteadOf = https://git.example/\n',
    "/home/runner/.ssh/id_ed25519": openssh("none"),
    "/home/runner/cosign.key": "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\nbWFkZS11cA==\n",
    "/srv/build/x/.env": "DB_PASSWORD=made-up-for-recordings\n",
    "/etc/environment": "LANG=C.UTF-8\nDB_PASSWORD=made-up-for-recordings\n",
    "/etc/systemd/system/builds.service": "[Service]\nEnvironment=API_TOKEN=made-up\n"
    "ExecStart=/bin/true\n",
    "/usr/local/bin/docker-credential-loose": "#!/bin/false\n",
}  # fmt: skip


def _write(host: OverlayHost, files: dict[str, str]) -> None:
    host.run("id runner 2>/dev/null || useradd -m -s /usr/sbin/nologin runner; chmod 755 /home")
    for path, text in files.items():
        host.write(path, text)
    # Without it, a host is no build host.
    host.run("mkdir -p /etc/buildkite-agent; chown -R runner /home/runner /srv/build")


def builder_sound(host: OverlayHost) -> None:
    _write(host, SOUND)
    host.run(
        "chmod 755 /home/runner /usr/local/bin/docker-credential-pass; chmod 644 /etc/environment;"
        " chmod 600 /home/runner/.aws/credentials /home/runner/.ssh/id_* /srv/build/x/.env"
    )


def builder_rotten(host: OverlayHost) -> None:
    _write(host, ROTTEN)
    host.run(
        "chmod -R a+rX /home/runner /srv/build; mkdir -p /srv/hooks;"
        " chmod 777 /srv/hooks /usr/local/bin/docker-credential-loose"
    )
