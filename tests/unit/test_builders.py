"""BuildKit, what signatures are verified with, and Buildah without Podman."""

from __future__ import annotations

import base64
import json
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.build import test_builders as checks
from checks.engine import test_defaults, test_podman, test_remotes
from hullcheck.control import Unknown, control_of
from hullcheck.facts.buildkit import instances
from hullcheck.facts.package_files import PackageFile
from hullcheck.facts.podman.pullers import PROGRAMS
from hullcheck.facts.podman.signatures import parse_policy
from hullcheck.facts.signing import lookasides, parse_notation
from hullcheck.facts.toml_daemon import wants
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from tests.unit.docker_fake import docker_answers, dockerd
from tests.unit.fake import host_with
from tests.unit.package_fake import package_answers
from tests.unit.podman_fake import Files, Program, podman_answers

FILE = "/etc/buildkit/buildkitd.toml"
INSTANCE = "/home/bob/.docker/buildx/instances/fast"
BUILDKITD = Program(50, "buildkitd", ("buildkitd",))


def verdicts(test, files=None, program=None, toml=None, policy=None, changed=1, **more):
    """Return the status of each finding about a builder, by the name of its object."""
    programs = [program] if program else []
    base = {
        **docker_answers(), **podman_answers(programs=(), processes=programs, **more),
        **package_answers(files),
    }  # fmt: skip
    if program:
        base["tr '\\n\\0' ' \\n' </proc/50/environ | grep -aE"] = ""
        content, times = wants(FILE)
        gone = (1, "", f"head: cannot open '{FILE}' for reading: No such file or directory\n")
        base[content.command] = gone if toml is None else toml
        base[times.command] = (1, f"{changed} {changed} 0 {FILE}\n1 1 4 /etc/buildkit\n")
    verdict = judge(control_of(test), host_with(base), Site("h", policy or Policy()))
    found = {each.object.name: str(each.status) for each in verdict.findings}
    ours = {name: said for name, said in found.items() if name.startswith(("build", "skopeo"))}
    return ours or str(verdict.status)


def builder(flags=(), toml=None, driver="docker-container", endpoint="unix:///x", **options):
    files = {"buildkitd.toml": base64.b64encode(toml.encode()).decode()} if toml else None
    node = {"Name": "fast0", "Endpoint": endpoint, "DriverOpts": options or None,
            "Flags": list(flags), "Files": files}  # fmt: skip
    return json.dumps({"Name": "fast", "Driver": driver, "Nodes": [node]}) + "\n"


INSECURE = 'insecure-entitlements = ["network.host", "security.insecure"]\n'


@pytest.mark.parametrize(
    ("argv", "toml", "expected"),
    [
        ((), None, "pass"),
        ((), 'root = "/x"\n', "pass"),
        ((), INSECURE, "fail"),
        ((), 'Insecure-Entitlements = ["device"]\n', "fail"),
        # In the table of a registry it means nothing; a flag counts more than the file.
        ((), f'[registry."x"]\n{INSECURE}', "pass"),
        (("--allow-insecure-entitlement", "security.insecure"), None, "fail"),
        (("--allow-insecure-entitlement=network.host,device",), None, "fail"),
        (("--debug", "--allow-insecure-entitlement", "network.host"), INSECURE, "fail"),
        ((), "insecure-entitlements = [\n", "unknown"),
    ],
)
def test_entitlements_of_a_running_builder(argv, toml, expected):
    program = Program(50, "buildkitd", ("buildkitd", *argv))
    found = verdicts(checks.test_build_entitlements, program=program, toml=toml)
    assert found == {f"buildkit {FILE}": expected}
    allowed = Policy(build_entitlements=("network.host", "security.insecure", "device"))
    found = verdicts(checks.test_build_entitlements, program=program, toml=toml, policy=allowed)
    assert found == {f"buildkit {FILE}": "pass" if expected == "fail" else expected}


def test_a_file_that_changed_later_is_unknown():
    found = verdicts(checks.test_build_entitlements, program=BUILDKITD, toml="", changed=1800000000)
    assert found == {f"buildkit {FILE}": "unknown"}


TLS = '[grpc]\naddress = ["tcp://0.0.0.0:1234"]\n[grpc.tls]\ncert = "/c"\nkey = "/k"\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "pass"),
        ('[grpc]\naddress = ["unix:///run/x.sock"]\n', "pass"),
        ('[grpc]\naddress = ["tcp://0.0.0.0:1234"]\n', "fail"),
        ('[grpc]\naddress = "tcp://127.0.0.1:1234"\n', "fail"),
        (TLS, "fail"),
        (f'{TLS}ca = "/ca"\n', "pass"),
        ('[grpc]\ndebugAddress = "0.0.0.0:6060"\n', "fail"),
        ('[grpc]\ndebugAddress = ":6060"\n', "fail"),
        ('[grpc]\ndebugAddress = "127.0.0.1:6060"\n', "pass"),
        ("grpc = 1\n", "unknown"),
    ],
)
def test_the_api(text, expected):
    """Of a file that is set up, and of what buildx would start with it."""
    files = {FILE: text, INSTANCE: builder(toml=text) if text else builder()}
    found = verdicts(checks.test_buildkit_api, files=files)
    assert found == {f"buildkit {FILE} (set up)": expected, f"buildx fast0 ({INSTANCE})": expected}


@pytest.mark.parametrize(
    ("text", "api", "entitlements"),
    [
        (builder(["--allow-insecure-entitlement=network.host"]), "pass", "pass"),
        (builder(["--allow-insecure-entitlement=network.host"], network="host"), "pass", "fail"),
        (builder(["--allow-insecure-entitlement", "security.insecure"]), "pass", "fail"),
        (builder(driver="remote", endpoint="tcp://b.example:1234"), "fail", "pass"),
        (builder(driver="remote", endpoint="tcp://b:1", cert="/c", key="/k", cacert="/a"), "pass",
         "pass"),
        ("{}\n", "not-applicable", None),
        ("[1\n", "unknown", "unknown"),
    ],
)  # fmt: skip
def test_builders_of_buildx(text, api, entitlements):
    found = verdicts(checks.test_buildkit_api, files={INSTANCE: text})
    assert found == api or list(found.values()) == [api]
    if entitlements:
        found = verdicts(checks.test_build_entitlements, files={INSTANCE: text})
        assert list(found.values()) == [entitlements]


REGISTRIES = '[registry."docker.io"]\nmirrors = ["{}"]\n[registry."m.example:5000"]\nhttp = {}\n'


@pytest.mark.parametrize(
    ("mirror", "http", "insecure", "mirrors"),
    [
        ("m.example:5000", "true", "fail", "fail"),
        ("m.example:5000/proxy", "true", "fail", "fail"),
        ("m.example:5000", "false", "pass", "pass"),
        ("http://o.example", "false", "pass", "fail"),
        ("https://o.example", "false", "pass", "pass"),
    ],
)
def test_registries_of_buildkit(mirror, http, insecure, mirrors):
    files = {FILE: REGISTRIES.format(mirror, http)}
    for test, expected in (
        (test_remotes.test_insecure_registries, insecure),
        (test_remotes.test_registry_mirrors, mirrors),
    ):
        assert verdicts(test, files=files) == {f"buildkit {FILE} (set up)": expected}


def test_the_cache():
    for text, expected in (("", "pass"), ("[worker.oci]\ngc = false\n", "fail"),
                           ("[worker.containerd]\ngc = true\n", "pass")):  # fmt: skip
        found = verdicts(checks.test_build_cache_bounded, files={FILE: text})
        assert found == {f"buildkit {FILE} (set up)": expected}


@pytest.mark.parametrize(
    ("text", "entitlements", "cache"),
    [
        ("{}", "pass", "pass"),
        ('{"builder": {"Entitlements": {"security-insecure": true}}}', "fail", "pass"),
        ('{"builder": {"entitlements": {"network-host": true}}}', "pass", "pass"),
        ('{"builder": {"gc": {"enabled": false}}}', "pass", "fail"),
        ('{"builder": {"gc": {"enabled": true, "defaultKeepStorage": "20GB"}}}', "pass", "pass"),
        ("{", "unknown", "unknown"),
    ],
)
def test_dockers_own_builder(text, entitlements, cache):
    base = {**docker_answers([dockerd()], config=text), **package_answers()}
    for test, expected in (
        (checks.test_build_entitlements, entitlements),
        (checks.test_build_cache_bounded, cache),
    ):
        found = judge(control_of(test), host_with(base), Site("h")).findings
        ours = [str(each.status) for each in found if each.object.name.startswith("docker")]
        assert ours == [expected]


BUILDAH = {PROGRAMS.command: (1, "/usr/bin/buildah\n/usr/bin/skopeo\n")}
TWO = 'unqualified-search-registries = ["a.example", "b.example"]\n'
ANY = '{"default": [{"type": "insecureAcceptAnything"}]}\n'


def pulled(test, files, programs=BUILDAH):
    base = {**docker_answers(), **podman_answers(programs=(), files=Files(files)), **programs}
    verdict = judge(control_of(test), host_with(base), Site("h"))
    return {each.object.name: str(each.status) for each in verdict.findings
            if each.object.name.startswith(("buildah", "podman", "(any buildah"))}  # fmt: skip


def test_buildah_without_podman():
    files = {
        "/etc/containers/registries.conf": TWO, "/etc/containers/policy.json": ANY,
        "/home/bob/.config/containers/registries.conf":
        "[[registry]]\nlocation = 'r.example'\ninsecure = true\n",
    }  # fmt: skip
    assert pulled(test_podman.test_podman_short_names, files) == {
        "buildah (root)": "fail", "buildah (bob)": "pass"}  # fmt: skip
    assert pulled(test_defaults.test_signatures, files)["buildah (root)"] == "fail"
    assert pulled(test_remotes.test_insecure_registries, files) == {
        "buildah (root)": "pass", "buildah (bob)": "fail"}  # fmt: skip
    assert pulled(test_podman.test_podman_short_names, files, {PROGRAMS.command: (1, "")}) == {}


KEYED = """{"default": [{"type": "reject"}], "transports": {"docker": {
  "registry.example/app": [{"type": "sigstoreSigned", "keyPath": "/etc/pki/a.pub",
     "fulcio": {"caPath": "/etc/pki/ca.pem", "subjectEmail": "a@b"},
     "rekorPublicKeyPath": "/etc/pki/rekor.pub"}],
  "b.example": [{"type": "signedBy", "keyType": "GPGKeys", "keyPaths": ["/k/1", "/k/2"]}]}}}
"""


def test_keys_of_a_policy():
    found = parse_policy("/p", KEYED)
    assert found.keys == ("/etc/pki/a.pub", "/etc/pki/ca.pem", "/etc/pki/rekor.pub", "/k/1", "/k/2")
    assert found.attached == ("registry.example/app",)
    assert (found.anywhere, found.scopes) == ((), ())


class Swept:
    """A stand-in for the sweep's files."""

    def __init__(self, **files):
        self.files = [PackageFile(path, "lookaside", text) for path, text in files.items()]

    def of(self, *kinds):
        return iter(self.files)

    def need(self, *kinds):
        pass


@pytest.mark.parametrize(
    ("text", "beside", "plain"),
    [
        ("default-docker:\n", False, 0),
        ("default-docker:\n  use-sigstore-attachments: true\n", True, 0),
        ("docker:\n  registry.example:\n    use-sigstore-attachments: true\n", True, 0),
        ("docker:\n  registry.example/app:\n    use-sigstore-attachments: true\n", True, 0),
        ("docker:\n  '*.example':\n    use-sigstore-attachments: true\n", True, 0),
        ("docker:\n  other.example:\n    use-sigstore-attachments: true\n", False, 0),
        ("default-docker:\n  use-sigstore-attachments: true\n"
         "docker:\n  registry.example:\n    use-sigstore-attachments: false\n", False, 0),
        ("default-docker:\n  lookaside: http://s.example\n", False, 1),
        ("default-docker:\n  lookaside: file:///var/lib/sigstore\n", False, 0),
    ],
)  # fmt: skip
def test_lookasides(text, beside, plain):
    found = lookasides(Swept(**{"/etc/containers/registries.d/a.yaml": text}), "/root")
    assert found.looks_beside("registry.example/app") is beside
    assert len(found.plain) == plain
    other = Swept(**{"/home/bob/.config/containers/registries.d/a.yaml": text})
    assert not lookasides(other, "/root").plain
    with pytest.raises(Unknown):
        lookasides(Swept(**{"/etc/containers/registries.d/a.yaml": "- a\n"}), "/root")


def notation(level="strict", override=None, name="a"):
    check = {"level": level, **({"override": override} if override else {})}
    return json.dumps({"version": "1.0", "trustPolicies": [{
        "name": name, "registryScopes": ["*"], "signatureVerification": check,
        "trustStores": [], "trustedIdentities": ["*"]}]}) + "\n"  # fmt: skip


TRUST = "/home/bob/.config/notation/trustpolicy.json"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (notation(), "pass"),
        (notation("permissive"), "fail"),
        (notation("audit"), "fail"),
        (notation("skip"), "fail"),
        (notation(override={"revocation": "log"}), "pass"),
        (notation(override={"expiry": "skip"}), "fail"),
        ('{"trustPolicies": []}\n', "not-applicable"),
        ("{}\n", "unknown"),
    ],
)
def test_notation(text, expected):
    base = package_answers({TRUST: text})
    found = judge(control_of(checks.test_notation_trust), host_with(base), Site("h"))
    assert str(found.status) == expected
    hidden = package_answers(hidden=["hidden /root"])
    found = judge(control_of(checks.test_notation_trust), host_with(hidden), Site("h"))
    assert str(found.status) == "unknown"


@settings(max_examples=40)
@given(st.text(max_size=100))
def test_parsers_take_any_text(text):
    with suppress(Unknown):
        list(instances(None, PackageFile(INSTANCE, "buildx", text)))
    with suppress(Unknown):
        parse_notation(PackageFile(TRUST, "notation", text))
    with suppress(Unknown):
        lookasides(Swept(**{"/etc/containers/registries.d/a.yaml": text}), "/root")
