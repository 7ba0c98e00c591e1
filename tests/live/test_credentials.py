"""Credentials that lie about on live hosts: each control flips, and no value leaves the host."""

from __future__ import annotations

import base64
import gzip
import json
import secrets
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, gather, judge
from hullcheck.transport import session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.target import parse_spec
from tests.live.hosts.docker import DockerHost
from tests.live.hosts.overlay import OverlayHost
from tests.live.test_audit import hullcheck, lines, specs
from tests.recordings.parts import build_credentials as parts

pytestmark = pytest.mark.live

NAMES = (
    "registry-passwords", "credential-helper", "token-file-mode", "checkout-secrets",
    "secrets-in-environment-files", "secrets-in-units", "git-credentials", "git-tls-verify",
    "git-safe-directories", "git-programs", "signing-keys", "runner-ssh-keys",
)  # fmt: skip
POLICY = Policy(build_directories=("/srv/build",))


def audit(host: OverlayHost) -> dict[str, str]:
    """Judge the controls in a session of its own."""
    there = connect(replace(parse_spec(f"paramiko://{host.name}"), ssh_config=host.ssh_config))
    try:
        site = Site(host.name, POLICY)
        controls = [all_controls()[f"build.{name}"] for name in NAMES]
        gather(controls, there, site)
        return {
            each.id.removeprefix("build."): str(judge(each, there, site).status)
            for each in controls
        }
    finally:
        session_of(there).close()


def test_each_control_flips() -> None:
    """A host of its own: accounts, units and homes are changed."""
    with OverlayHost("credentials") as host:
        parts.builder_sound(host)
        assert set(audit(host).values()) == {"pass"}, audit(host)
        parts.builder_rotten(host)
        mark = host.mark()
        assert set(audit(host).values()) == {"fail"}, audit(host)
        assert host.written(mark) == []


TAIL = secrets.token_hex(9)
PLANTED = {
    "docker auth": base64.b64encode(f"ci:dckr{TAIL}1".encode()).decode(),
    "auth.json": base64.b64encode(f"ci:podman{TAIL}2".encode()).decode(),
    "npm": f"npm_{(TAIL * 3)[:36]}",
    "pypi": f"pypi-AgEIcHlwaS5vcmc{TAIL}Qa1",
    "aws": f"wJalr{TAIL}K7MDENGbPxRfiCY",
    "git": f"gitstore{TAIL}Pw3",
    "insteadOf": f"insteadof{TAIL}Tk4",
    "unit": f"unitenv{TAIL}Se5",
    "environment": f"etcenv{TAIL}Se6",
    "gitlab": f"glrt-{TAIL}x7-y",
    "cosign": base64.b64encode(f"cosign key {TAIL} and more of it 8".encode()).decode(),
    "image": f"imageenv{TAIL}Se9",
    "dockerfile": f"arg{TAIL}Dockerfile10",
    "dotenv": f"dotenv{TAIL}Se11",
    "kubeconfig": f"kubetoken{TAIL}Tk12",
    "jenkins": "{AQAAABAAAAAQ" + base64.b64encode(f"jenkins {TAIL}".encode()).decode() + "}",
    "sops": f"AGE-SECRET-KEY-1{(TAIL * 3)[:44].upper()}",
}
HOME = "/home/runner"


def planted_files() -> dict[str, str]:
    """Return the files of a careless host, by path."""
    p = PLANTED
    return {
        f"{HOME}/.docker/config.json": json.dumps({"auths": {"r.io": {"auth": p["docker auth"]}}}),
        f"{HOME}/.config/containers/auth.json": json.dumps(
            {"auths": {"q.io": {"auth": p["auth.json"]}}}
        ),
        f"{HOME}/.npmrc": f"//registry.npmjs.org/:_authToken={p['npm']}\n",
        f"{HOME}/.pypirc": f"[pypi]\nusername = __token__\npassword = {p['pypi']}\n",
        f"{HOME}/.aws/credentials": f"[default]\naws_secret_access_key = {p['aws']}\n",
        f"{HOME}/.git-credentials": f"https://ci:{p['git']}@git.example\n",
        f"{HOME}/.gitconfig": f'[url "https://oauth2:{p["insteadOf"]}@git.example/"]\n'
        "\tinsteadOf = https://git.example/\n[credential]\n\thelper = store\n",
        f"{HOME}/.kube/config": f"users:\n- name: x\n  user:\n    token: {p['kubeconfig']}\n",
        f"{HOME}/.config/sops/age/keys.txt": f"# public\n{p['sops']}\n",
        f"{HOME}/cosign.key": "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n"
        f"{p['cosign']}\n-----END ENCRYPTED SIGSTORE PRIVATE KEY-----\n",
        "/etc/systemd/system/ci.service": f"[Service]\nEnvironment=CI_TOKEN={p['unit']}\n"
        "ExecStart=/bin/true\n",
        "/etc/environment": f"DEPLOY_TOKEN={p['environment']}\n",
        "/etc/gitlab-runner/config.toml": "concurrent = 1\n[[runners]]\n  name = \"r\"\n"
        f"  url = \"https://git.example\"\n  token = \"{p['gitlab']}\"\n  executor = \"shell\"\n",
        "/srv/build/x/.env": f"DB_PASSWORD={p['dotenv']}\n",
        "/srv/build/x/Dockerfile": f"FROM busybox:1\nARG API_TOKEN={p['dockerfile']}\n",
        "/var/lib/jenkins/secret.key.not-so-secret": "",
        "/var/lib/jenkins/credentials.xml": "<?xml version='1.1' encoding='UTF-8'?>\n<list>"
        f"<secret>{p['jenkins']}</secret></list>\n",
    }  # fmt: skip


FORMATS = ("html", "xlsx", "csv", "markdown", "junit", "oscal", "xccdf", "ocsf", "sarif",
           "summary", "prometheus", "json")  # fmt: skip

FOUND_BY = {
    "registry-passwords": (".docker/config.json", ".config/containers/auth.json"),
    "token-file-mode": (".npmrc", ".pypirc", ".aws/credentials", ".git-credentials", ".kube/config",
                        "age/keys.txt"),
    "git-credentials": ("insteadof has a token", "helper is store"),
    "secrets-in-units": ("CI_TOKEN",), "secrets-in-environment-files": ("DEPLOY_TOKEN",),
    "signing-keys": ("cosign.key",), "checkout-secrets": ("/srv/build/x/.env",),
    "secrets-in-configuration": ("API_TOKEN",), "dockerfile-secrets": ("API_TOKEN",),
    "runner-files": ("/etc/gitlab-runner/config.toml",), "jenkins-keys": ("credentials.xml",),
}  # fmt: skip


@pytest.fixture
def careless() -> Iterator[DockerHost]:
    with DockerHost("careless", bridge=False) as host:
        host.run("id runner 2>/dev/null || useradd -m -s /bin/bash runner; chmod 755 /home")
        for path, text in planted_files().items():
            host.write(path, text)
        host.run(f"chown -R runner {HOME}; chmod -R a+rX {HOME} /srv/build")
        host.engine.load_image("careless:1", f"ENV API_TOKEN={PLANTED['image']}")
        yield host


def forms(value: str) -> Iterator[bytes]:
    """Yield the ways in which a value, or half of it, may be written."""
    raw = value.encode()
    half = max(12, len(raw) // 2)
    pieces = {raw, *(raw[at : at + half] for at in (0, len(raw) - half))}
    for piece in pieces:
        yield piece
        yield quote(piece.decode(), safe="").encode()
        yield json.dumps(piece.decode())[1:-1].encode()
    for shift in range(3):
        # In base64 a value has three looks, by where it begins; the ends depend on neighbours.
        yield base64.b64encode(b"x" * shift + raw)[4:-4][:half]


def test_planted_secrets_are_found_and_no_value_leaves(
    careless: DockerHost, tmp_path: Path
) -> None:
    (tmp_path / "policy.yml").write_text("build_directories: [/srv/build]\n")
    run = tmp_path / "run"
    reports = [each for name in FORMATS for each in ("--report", name)]
    done = hullcheck(
        "audit", *specs(careless), "--policy", str(tmp_path / "policy.yml"), "--report-dir",
        str(run), "-v", *reports,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    verdicts = {each["control"].removeprefix("build."): each for each in lines(run)}
    for control, told in FOUND_BY.items():
        text = json.dumps(verdicts[control], ensure_ascii=False)
        assert verdicts[control]["status"] == "fail", text
        for each in told:
            assert each in text, (control, each)
    left = {"stdout": done.stdout.encode(), "stderr": done.stderr.encode()}
    for path in sorted(each for each in run.rglob("*") if each.is_file()):
        data = path.read_bytes()
        left[path.name] = gzip.decompress(data) if path.suffix == ".gz" else data
        if path.suffix == ".xlsx":
            with zipfile.ZipFile(path) as book:
                left[path.name] = b"".join(map(book.read, book.namelist()))
    assert len(left) > len(FORMATS)
    for what, value in PLANTED.items():
        for form in forms(value):
            for name, data in left.items():
                assert form not in data, (what, name, form)
