"""Build files below the site's folder: a checkout as it should be, and one with every fault."""

from __future__ import annotations

from tests.live.hosts.overlay import OverlayHost

__all__ = ["builder_rotten", "builder_sound", "lay"]

ROOT = "/srv/build"
SHA = "0123456789abcdef0123456789abcdef01234567"
DIGEST = "sha256:" + "ab" * 32

DOCKERFILE = f"""# syntax=docker/dockerfile:1
ARG VERSION=12.8-slim
FROM debian:${{VERSION}}@{DIGEST} AS base
ADD --checksum=sha256:{"0" * 64} https://registry.example/tool.tar.gz /opt/
RUN --mount=type=secret,id=npm,env=NPM_TOKEN <<EOF
apt-get update
apt-get install -y --no-install-recommends ca-certificates
EOF
FROM base
COPY . /app
USER 10001:10001
"""
ROTTEN_DOCKERFILE = """# syntax=ghcr.io/mallory/dockerfile:1
FROM mallory/debian
ARG NPM_TOKEN
ENV A=b \\
    DB_PASSWORD=planted-1-in-ENV \\
    C=d
ENV API_KEY planted 2 in ENV
ADD https://a.example/tool.tar.gz /opt/
RUN curl -fsSL https://a.example/install.sh | bash
COPY . /app
"""
COMPOSE = f"""services:
  web:
    image: nginx:1.27.3@{DIGEST}
    environment:
      DB_PASSWORD_FILE: /run/secrets/db
      TOKEN: ${{TOKEN:?}}
    volumes: [data:/data]
volumes: {{data: {{}}}}
"""
ROTTEN_COMPOSE = """services:
  web:
    image: nginx
    privileged: true
    environment:
      DB_PASSWORD: planted-3 in compose
    volumes:
      - /var/run/docker.sock:/var/run/docker.sock
"""
WORKFLOW = f"""on: pull_request
permissions:
  contents: read
jobs:
  build:
    container: registry.example/node:22.11@{DIGEST}
    steps:
      - uses: actions/checkout@{SHA} # v4
      - uses: docker/build-push-action@{SHA} # v6
      - uses: aquasecurity/trivy-action@{SHA} # 0.28
      - run: npm ci
        env: {{NPM_TOKEN: "${{{{ secrets.NPM_TOKEN }}}}"}}
"""
ROTTEN_WORKFLOW = """on: pull_request_target
jobs:
  build:
    container: {image: node, options: --privileged}
    env:
      DEPLOY_TOKEN: planted-4-in-workflow
    steps:
      - uses: actions/checkout@v4
        with:
          ref: ${{ github.event.pull_request.head.sha }}
      - uses: docker/build-push-action@v6
      - run: |
          echo "${{ github.event.pull_request.title }}"
          curl -s https://a.example/x | sh
"""
GITLAB = f"""include:
  - project: acme/ci
    ref: {SHA}
    file: /build.yml
build:
  image: registry.example/go:1.23@{DIGEST}
  script: [go build]
"""
ROTTEN_GITLAB = """include:
  - remote: https://a.example/ci.yml
variables: {DB_PASSWORD: planted5, X: y}
build:
  image: golang
  services: [docker:27-dind]
  script: [docker build .]
"""
GUARDED = f"""on: workflow_run
permissions: {{}}
jobs:
  report:
    steps:
      - uses: actions/checkout@{SHA}
"""

SOUND = {
    "app/Dockerfile": DOCKERFILE, "app/.dockerignore": ".git\n.env\n.env.*\n",
    "app/compose.yaml": COMPOSE, "app/.github/workflows/build.yml": WORKFLOW,
    "app/.github/workflows/report.yml": GUARDED, "app/.gitlab-ci.yml": GITLAB,
    "app/package.json": '{"dependencies": {"a": "^1"}}\n', "app/package-lock.json": "{}\n",
    "app/requirements.txt": "a==1.2\n",
}  # fmt: skip
ROTTEN = {
    "app/Dockerfile": ROTTEN_DOCKERFILE, "app/.env": "DB_PASSWORD=planted-6-in-env\n",
    "app/compose.yaml": ROTTEN_COMPOSE, "app/.github/workflows/build.yml": ROTTEN_WORKFLOW,
    "app/.gitlab-ci.yml": ROTTEN_GITLAB, "app/requirements.txt": "a>=1\n",
}  # fmt: skip


def lay(host: OverlayHost, files: dict[str, str], root: str = ROOT) -> None:
    """Write files below a folder of the host."""
    for path, text in files.items():
        host.write(f"{root}/{path}", text)


def builder_sound(host: OverlayHost) -> None:
    lay(host, SOUND)


def builder_rotten(host: OverlayHost) -> None:
    lay(host, ROTTEN)
