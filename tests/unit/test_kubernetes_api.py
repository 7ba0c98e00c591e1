"""The way to a cluster: a real client, a real server, and what may go wrong between them."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from hullcheck.facts.kubernetes.requests import PODS, _paged
from hullcheck.inventory.policy import Policy
from hullcheck.transport import Evidence, Session, Unreachable, Want, host_of, session_of
from hullcheck.transport.connect import connect
from hullcheck.transport.kubernetes_api import VERSION
from hullcheck.transport.recording import Replay, dumps, load
from hullcheck.transport.redact import Redactor
from hullcheck.transport.target import Target, parse_spec
from hullcheck.transport.want import LIMIT
from tests.cluster import objects as made
from tests.cluster.server import TOKEN, ApiServer, Faults
from tests.unit.cluster_fake import statuses, verdict

NAMESPACES = Want("GET /api/v1/namespaces?limit=250", frozenset({0, 3, 4}))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for each in ("KUBECONFIG", "KUBERNETES_SERVICE_HOST", "HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def ask(cluster: ApiServer, *wants: Want) -> list[Evidence]:
    session = session_of(connect(parse_spec(cluster.spec), redact=Redactor(b"tests")))
    try:
        return [each.evidence for each in session.ask(VERSION, *wants)][1:]
    finally:
        session.close()


@pytest.mark.parametrize(
    ("spec", "target", "name", "shown"),
    [
        ("kubernetes://", Target("kubernetes"), "kubernetes", "kubernetes://"),
        ("kubernetes://prod", Target("kubernetes", "prod"), "prod", "kubernetes://prod"),
        ("kubernetes://admin@k8s", Target("kubernetes", "admin@k8s"), "admin@k8s",
         "kubernetes://admin@k8s"),
        ("kubernetes://arn:aws:eks:eu-1:1:cluster/x?kubeconfig=/k",
         Target("kubernetes", "arn:aws:eks:eu-1:1:cluster/x", options=(("kubeconfig", "/k"),)),
         "arn:aws:eks:eu-1:1:cluster/x", "kubernetes://arn:aws:eks:eu-1:1:cluster/x"),
    ],
)  # fmt: skip
def test_specs(spec: str, target: Target, name: str, shown: str) -> None:
    found = parse_spec(spec)
    assert (found, found.name, found.display) == (target, name, shown)


def test_all_is_asked_in_pages_by_get_and_no_secret_is_fetched(folder: Path) -> None:
    with ApiServer(made.rotten(), folder, Faults(pages=3)) as cluster:
        host = connect(parse_spec(cluster.spec), redact=Redactor(b"tests"))
        session = session_of(host)
        names = ("cluster-secrets", "cluster-plain-secrets", "cluster-privileged")
        from hullcheck.catalogue import all_controls
        from hullcheck.judge import Site, gather

        controls = [all_controls()[f"orchestrator.{each}"] for each in names]
        gather(controls, host, Site("prod"))
        found = [statuses(verdict(host, each)) for each in names]
        session.close()
    assert found[0]["all"] == "fail"
    assert found[1]["default/stray"] == "fail"
    assert len(found[0]) == len(made.rotten()[made.CLUSTER_BINDINGS]) + 2
    assert {method for method, _ in cluster.asked} == {"GET"}
    assert not any("secrets" in path for _, path in cluster.asked)
    assert session.late == 0
    recording = dumps(session.recording)
    (folder / "r.jsonl.gz").write_bytes(recording)
    again = Session(Replay(load(folder / "r.jsonl.gz")))
    again.preload(load(folder / "r.jsonl.gz"))
    offline = host_of(again, "prod", "recording")
    assert again.cluster
    assert [statuses(verdict(offline, each)) for each in names] == found
    kept = b"".join(each.stdout + each.stderr for each in session.recording)
    assert b"Tr0ub4dor-of-the-tests" not in kept
    assert b"auditor-token-of-the-tests" not in kept


@pytest.mark.parametrize(
    ("faults", "code", "trouble", "complaint"),
    [
        ({"forbidden": ["/api/v1/namespaces"]}, 3, "", "403: namespaces is forbidden"),
        ({"statuses": {"/api/v1/namespaces": 404}}, 4, "", "404"),
        ({"statuses": {"/api/v1/namespaces": 500}}, 1, "", "500"),
        ({"statuses": {"/api/v1/namespaces": 401}}, 1, "", "401"),
        ({"statuses": {"/api/v1/namespaces": 302}, "location": "https://127.0.0.1:1/"}, 1, "",
         "302"),
        ({"bodies": {"/api/v1/namespaces": b"x" * (LIMIT + 1)}}, None, "more than", ""),
        ({"drip": ["/api/v1/namespaces"]}, None, "timed out after 0.5 s", ""),
    ],
)  # fmt: skip
def test_answers(
    folder: Path, faults: dict[str, Any], code: int | None, trouble: str, complaint: str
) -> None:
    with ApiServer(made.sound(), folder, Faults(**faults)) as cluster:
        found, *_ = ask(cluster, Want(NAMESPACES.command, NAMESPACES.meaning, 0.5))
    assert found.exit == code
    assert trouble in found.trouble
    assert bool(found.trouble) == bool(trouble)
    assert complaint in found.stderr.decode()
    assert len(found.stdout) == 0


@pytest.mark.parametrize("command", ["POST /api/v1/namespaces", "DELETE /x", "GET x", "id", ""])
def test_nothing_but_get_is_sent(folder: Path, command: str) -> None:
    with ApiServer(made.sound(), folder) as cluster:
        found, *_ = ask(cluster, Want(command))
        assert [path for _, path in cluster.asked] == ["/version"]
    assert found.exit is None
    assert found.trouble


def _insecure(cluster: ApiServer) -> None:
    cluster.configure({"insecure-skip-tls-verify": True})


def _stranger(cluster: ApiServer) -> None:
    cluster.configure({})


def _wrong_token(cluster: ApiServer) -> None:
    text = cluster.kubeconfig.read_text()
    cluster.kubeconfig.write_text(text.replace("auditor-token-of-the-tests", "other"))


def _gone(cluster: ApiServer) -> None:
    text = cluster.kubeconfig.read_text()
    cluster.kubeconfig.write_text(
        text.replace("server: https://127.0.0.1:", "server: https://127.0.0.1:1#")
    )


def _damaged(cluster: ApiServer) -> None:
    cluster.kubeconfig.write_text("clusters: [")


def _other_context(cluster: ApiServer) -> None:
    cluster.kubeconfig.write_text(cluster.kubeconfig.read_text().replace("prod", "test"))


def _missing(cluster: ApiServer) -> None:
    cluster.kubeconfig.unlink()


@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (_insecure, "host-key", "insecure-skip-tls-verify"),
        (_stranger, "host-key", "certificate"),
        (_wrong_token, "authentication", "401"),
        (_gone, "refused", ""),
        (_damaged, "authentication", ""),
        (_other_context, "authentication", "prod"),
        (_missing, "authentication", ""),
    ],
)
def test_what_makes_a_cluster_unreachable(folder: Path, spoil: Any, kind: str, said: str) -> None:
    with ApiServer(made.sound(), folder) as cluster:
        spoil(cluster)
        with pytest.raises(Unreachable) as caught:
            ask(cluster)
    assert caught.value.kind == kind
    assert said in str(caught.value)
    assert "auditor-token-of-the-tests" not in str(caught.value)


def test_a_server_without_tls_is_refused(folder: Path) -> None:
    with ApiServer(made.sound(), folder, Faults(tls=False)) as cluster:
        with pytest.raises(Unreachable, match="not spoken to by TLS") as caught:
            ask(cluster)
        assert cluster.asked == []
    assert caught.value.kind == "host-key"


@pytest.fixture
def uninstalled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for each in ("kubernetes", "kubernetes.client", "kubernetes.config"):
        monkeypatch.setitem(sys.modules, each, None)
    yield


@pytest.mark.usefixtures("uninstalled")
def test_without_the_client_it_is_said_how_to_install_it() -> None:
    host = connect(Target("kubernetes", "prod"))
    found = verdict(host, "cluster-secrets")
    assert found.status == "unknown"
    assert "pip install 'hullcheck[kubernetes]'" in found.reason
    from hullcheck.catalogue import all_controls
    from hullcheck.judge import Site, judge

    other = judge(all_controls()["host.aslr"], host, Site("prod", Policy()))
    assert other.status == "not-applicable"


def test_a_list_that_does_not_end_is_unknown(folder: Path) -> None:
    token = base64.b64encode(b"x").decode()
    body = b'{"metadata":{"continue":"%s"},"items":[]}' % token.encode()
    path = PODS.partition("?")[0]
    with ApiServer(made.sound(), folder, Faults(bodies={path: body})) as cluster:
        host = connect(parse_spec(cluster.spec))
        found = verdict(host, "cluster-privileged")
        session_of(host).close()
    assert found.status == "unknown"
    assert "does not end" in found.reason
    assert len([each for each in cluster.asked if each[1].startswith(_paged(PODS))]) == 2


def test_a_plug_in_logs_in(folder: Path) -> None:
    said = {
        "apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",
        "status": {"token": TOKEN},
    }  # fmt: skip
    with ApiServer(made.sound(), folder) as cluster:
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        config["users"][0]["user"] = {
            "exec": {
                "apiVersion": said["apiVersion"], "command": sys.executable,
                "args": ["-c", f"print({json.dumps(json.dumps(said))})"],
                "interactiveMode": "Never",
            }
        }  # fmt: skip
        cluster.kubeconfig.write_text(yaml.safe_dump(config))
        found, *_ = ask(cluster, NAMESPACES)
    assert found.exit == 0


def test_in_a_pod_its_service_account_logs_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kubernetes.config import incluster_config

    with ApiServer(made.sound(), folder) as cluster:
        config = yaml.safe_load(cluster.kubeconfig.read_text())
        authority = config["clusters"][0]["cluster"]["certificate-authority-data"]
        (folder / "ca.crt").write_bytes(base64.b64decode(authority))
        (folder / "token").write_text(TOKEN)
        server = config["clusters"][0]["cluster"]["server"]
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", server.rpartition(":")[2])
        monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(folder / "token"))
        monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(folder / "ca.crt"))
        session = session_of(connect(parse_spec("kubernetes://")))
        assert session.ask(NAMESPACES)[0].exit == 0
        session.close()
