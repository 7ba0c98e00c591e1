"""How documents are taken apart on the host, and what of them arrives."""

from __future__ import annotations

import json
import os
import pwd
import shutil
from pathlib import Path
from typing import Any

import pytest

from checks.build.test_provenance import test_default_attestations as default_attestations
from checks.build.test_provenance import test_provenance as provenance
from checks.build.test_scans import test_scanned as scanned
from hullcheck.facts.scans.documents import parsed
from hullcheck.facts.scans.evidence import Evidence, evidence, evidence_want
from hullcheck.facts.scans.reports import digests_in, report_of
from hullcheck.facts.scans.settings import SETTINGS
from hullcheck.transport import CannotAnswer, session_of
from tests.unit.fake import host_with
from tests.unit.here import host_here
from tests.unit.image_fake import number, one
from tests.unit.scan_fake import (
    APP,
    DIGEST,
    ME,
    envelope,
    flaw,
    grype,
    hosted,
    match,
    put,
    slsa1,
    trivy,
)

TOOLS = "awk base64 cat cut find head sh sort stat timeout tr"


@pytest.fixture(scope="module", params=["sh", "busybox"])
def shell(request: pytest.FixtureRequest, tmp_path_factory: Any) -> tuple[str, ...]:
    """A shell with the tools of coreutils, or of busybox."""
    if request.param == "sh":
        return ("/bin/sh",)
    busybox = shutil.which("busybox") or pytest.skip("there is no busybox")
    folder = tmp_path_factory.mktemp("tools")
    for tool in TOOLS.split():
        (folder / tool).symlink_to(busybox)
    return ("/usr/bin/env", f"PATH={folder}", "sh")


def told(folder: Path, shell: tuple[str, ...] = ("/bin/sh",)) -> Evidence:
    return evidence(host_here(*shell), [str(folder)])


def only(folder: Path, text: str, shell: tuple[str, ...] = ("/bin/sh",)) -> Any:
    put(folder, {"one.json": text})
    (found,) = [each for each in told(folder, shell).files if each.path.startswith(str(folder))]
    return found.broken or list(found.documents)


@pytest.mark.parametrize("indent", [None, 1])
def test_what_is_left_out(tmp_path: Path, shell: tuple[str, ...], indent: int | None) -> None:
    (whole,) = only(tmp_path, json.dumps(trivy(flaw()), indent=indent), shell)
    (result,) = whole["Results"]
    assert result["Packages"] == 4
    assert whole["Metadata"]["ImageID"] == APP
    (kept,) = result["Vulnerabilities"]
    assert kept.pop("-") in range(9)
    assert kept == {
        key: value for key, value in flaw().items()
        if key in ("VulnerabilityID", "PkgName", "InstalledVersion", "FixedVersion", "Status",
                   "Severity", "PublishedDate", "LastModifiedDate")
    }  # fmt: skip
    assert report_of(whole) == report_of(trivy(flaw()))
    assert "hunter2x" not in str(whole)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("{}", [{}]),
        ('\ufeff\n [ ]\n{"a":1}\n', [[], {"a": 1}]),
        (r'{"a\"b\\":"\\","c":"{\"Title\":\"}"}', [{'a"b\\': "\\", "c": '{"Title":"}'}]),
        ('{"Title": {"a": ["}", 1, {"b": []}]}, "x": -1.5e3}', [{"-": 3, "x": -1500.0}]),
        ('{"Title": "a", "Layer": null, "x": ["Title", "Layer"]}',
         [{"-": 0, "x": ["Title", "Layer"]}]),
        ('{"packages": [{"a": {"b": 1}}, {"p": "CONTAINER", "c": [{}]}], "z": true}',
         [{"packages": [0, {"p": "CONTAINER", "c": [{}]}], "z": True}]),
        ("plain text", []),
    ],
)  # fmt: skip
def test_structure_stays(tmp_path: Path, shell: tuple[str, ...], text: str, wanted: Any) -> None:
    assert only(tmp_path, text, shell) == wanted


@pytest.mark.parametrize(
    "text",
    ['{"a": 1', '{"a": "', '{"a": 1, "a": 2}', '{"a": "b\nc"}', '{"a": 1 2}', '{"a": NaN}',
     '{"a": "b"} x', "[1,]", '{"a": "\\x"}', '{"a": ' + "9" * 5000 + "}"],
)  # fmt: skip
def test_no_json(tmp_path: Path, text: str) -> None:
    assert isinstance(only(tmp_path, text), str)


def test_secrets_in_envelopes_are_cut(tmp_path: Path) -> None:
    statement = slsa1() | {"predicate": {"builder": {"id": "x"}, "NPM_TOKEN": "hunter2hunter2"}}
    put(tmp_path, {"a.json": envelope(statement), "b.json": envelope(slsa1())})
    host = hosted()
    policy = {"scan_reports": (str(tmp_path),), "report_writers": (ME,), "builders": ("x",)}
    assert one(provenance, host, **policy)[0] == "pass"
    kept = b"".join(each.stdout + each.stderr for each in session_of(host).recording)
    assert b"hunter2" not in kept
    assert b"[redacted:14:" in kept


def test_real_names_of_things() -> None:
    assert digests_in([APP, f"a@{DIGEST}", "b:1", None, 7, "sha256:" + "a" * 65]) == {APP, DIGEST}
    assert digests_in([f"pkg:oci/a@{DIGEST.replace(':', '%3A')}?x", "c" * 64]) == {
        DIGEST, f"sha256:{'c' * 64}",
    }  # fmt: skip
    assert report_of(trivy(ArtifactType="filesystem")) is None
    assert report_of(grype(source={"type": "directory", "target": "/"})) is None


GITLAB = {
    "version": "15.0.7", "remediations": [],
    "scan": {"scanner": {"id": "docker-scout", "name": "Docker Scout"}, "status": "success",
             "type": "container_scanning", "end_time": "2026-11-22T10:00:00"},
    "vulnerabilities": [
        {"id": "x", "severity": "Critical", "solution": "Upgrade zlib to 1.3",
         "identifiers": [{"type": "cve", "name": "CVE-2026-3"}],
         "location": {"dependency": {"package": {"name": "zlib"}}, "image": f"a@{DIGEST}"}},
    ],
}  # fmt: skip
COSIGN = {
    "predicateType": "https://cosign.sigstore.dev/attestation/vuln/v1",
    "subject": [{"name": "a", "digest": {"sha256": DIGEST[7:]}}],
    "predicate": {
        "scanner": {"uri": "pkg:github/aquasecurity/trivy", "result": trivy(flaw()),
                    "db": {"lastUpdate": "2026-11-22T01:00:00Z"}},
        "metadata": {"scanFinishedOn": "2026-11-22T09:00:00Z"},
    },
}  # fmt: skip


def test_other_forms_of_reports() -> None:
    gitlab, cosign = report_of(GITLAB), report_of(COSIGN)
    assert gitlab is not None
    assert cosign is not None
    assert gitlab.subject.digests == cosign.subject.digests == {DIGEST}
    assert gitlab.scanner == "docker-scout"
    assert [(each.id, each.fix) for each in gitlab.flaws] == [("CVE-2026-3", "Upgrade zlib to 1.3")]
    assert str(cosign.database) == "2026-11-22 01:00:00+00:00"
    assert str(cosign.created) == "2026-11-22 09:00:00+00:00"


@pytest.mark.parametrize(
    "document",
    [{"SchemaVersion": 2, "ArtifactType": "container_image", "Metadata": value, "Results": value}
     for value in (None, [], [1, [None]], {"OS": 1}, "x", 7)]
    + [grype(value, source={"type": "image", "target": value}, distro=value, descriptor={
        "name": "grype", "db": value, "configuration": value, "timestamp": value})
       for value in (None, [], {"vulnerability": 1}, "x")]
    + [match(), [], None, 5, "x", GITLAB | {"vulnerabilities": [1, {"location": 2}]}],
)  # fmt: skip
def test_whatever_it_says(document: Any) -> None:
    report_of(document)


def test_what_is_not_whole(tmp_path: Path) -> None:
    """Law 1: an answer that was cut, or that is none, leaves the question open."""
    put(tmp_path, {"a.json": trivy(), "b.json": grype(image=number("x"))})
    want = evidence_want([str(tmp_path)])
    text = session_of(host_here()).ask(want)[0].text
    for length in range(0, len(text), 40):
        host = host_with({want.command: text[:length]})
        try:
            found = evidence(host, [str(tmp_path)])
        except CannotAnswer:
            continue
        assert found.unread
    with pytest.raises(CannotAnswer):
        evidence(host_with({want.command: "garbage\n"}), [str(tmp_path)])
    if os.getuid() == 0:
        (tmp_path / "c.json").write_text("{}")
        said = text.replace("= left", f"1795855286 9 0 {tmp_path}/c.json\n= left", 1)
        denied = said.replace("= end", f"= denied {tmp_path}/c.json\n= end")
        found = evidence(host_with({want.command: denied}), [str(tmp_path)])
        assert found.unread == (f"{tmp_path}/c.json cannot be read as a whole; it may need root",)
    policy = {"scan_reports": (f"{tmp_path}/x",)}
    assert one(scanned, hosted(), **policy)[0] == "fail"
    refused = host_with({want.command: (0, text, f"find: '{tmp_path}/x': Permission denied\n")})
    assert evidence(refused, [str(tmp_path)]).unread[0].endswith("it needs root")


def test_bounds(tmp_path: Path) -> None:
    put(tmp_path, {f"{number:03}.json": "{}" for number in range(210)})
    found = told(tmp_path)
    assert len([each for each in found.files if each.path.startswith(str(tmp_path))]) <= 200
    assert found.unread == ("10 further files are too many or too large to look at",)
    with pytest.raises(ValueError, match="twice"):
        parsed('{"a": 1, "a": 1}')
    with pytest.raises(ValueError, match="deep"):
        parsed("[" * 100_000)


AGENT = ("provider", "build_agents")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("= buildx\n", "pass"),
        ("", "not-applicable"),
        ("= buildx\n/etc/environment:BUILDX_NO_DEFAULT_ATTESTATIONS=1\n", "fail"),
        ("/etc/profile.d/a.sh:export BUILDX_NO_DEFAULT_ATTESTATIONS='true' # old\n", "fail"),
        ('/etc/x.service:Environment=A=1 "BUILDX_NO_DEFAULT_ATTESTATIONS=1"\n', "fail"),
        ('/etc/gitlab-runner/config.toml:  environment = ["A=b", '
         '"BUILDX_NO_DEFAULT_ATTESTATIONS=true"]\n', "fail"),
        ("= buildx\n/etc/environment:#BUILDX_NO_DEFAULT_ATTESTATIONS=1\n", "pass"),
        ("= buildx\n/etc/environment:BUILDX_NO_DEFAULT_ATTESTATIONS=0\n", "pass"),
        ("= buildx\n/etc/environment:MY_BUILDX_NO_DEFAULT_ATTESTATIONS=1\n", "pass"),
        ("= buildx\n/root/.profile:unset BUILDX_NO_DEFAULT_ATTESTATIONS\n", "pass"),
        ("= buildx\n= hidden /home/bob\n", "unknown"),
        ("= hidden /home/bob\n", "not-applicable"),
    ],
)  # fmt: skip
def test_where_attestations_are_turned_off(text: str, status: str) -> None:
    host = host_with({SETTINGS.command: f"{text}= end\n"})
    session_of(host).recall(AGENT, list)
    assert one(default_attestations, host)[0] == status
    cut = host_with({SETTINGS.command: text})
    session_of(cut).recall(AGENT, list)
    assert one(default_attestations, cut)[0] == "unknown"


def test_who_could_have_written_it(tmp_path: Path) -> None:
    put(tmp_path, {"0.json": trivy()})
    (tmp_path / "0.json").chmod(0o666)
    policy = {"scan_reports": (str(tmp_path),), "report_writers": (ME,)}
    status, why = one(scanned, hosted(), **policy)
    assert (status, "everybody may write" in why) == ("fail", True)
    (tmp_path / "0.json").chmod(0o644)
    tmp_path.chmod(0o777)
    assert one(scanned, hosted(), **policy)[0] == "fail"
    tmp_path.chmod(0o755)
    assert one(scanned, hosted(), **policy)[0] == "pass"
    if os.getuid() == 0:
        os.chown(tmp_path / "0.json", 1, 1)
        assert one(scanned, hosted(), **policy)[0] == "fail"
        user = pwd.getpwuid(1).pw_name
        assert one(scanned, hosted(), **policy | {"report_writers": (ME, user)})[0] == "pass"


def test_users_cannot_spoil_it(tmp_path: Path) -> None:
    """What any user may have put into his own home hides nothing."""
    put(tmp_path, {"home/.cache/trivy/db/metadata.json": "[" * 500, "a.json": trivy()})
    state = tmp_path / "home/.cache/trivy/db/metadata.json"
    for text in ("[" * 500, '{"a": "' + "b" * 20_000 + '"}'):
        state.write_text(text)
        os.utime(state, (-5, -5))
        found = told(tmp_path)
        assert found.unread == ()
        assert [each.path for each in found.files if each.documents] == [f"{tmp_path}/a.json"]
