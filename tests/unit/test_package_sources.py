"""Package managers and download tools told not to verify: formats, and what the controls say."""

from __future__ import annotations

import subprocess
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from checks.build import fetching, packages
from checks.build import test_package_sources as checks
from hullcheck.control import Unknown, control_of
from hullcheck.facts import package_files
from hullcheck.facts.fetch_settings import READERS, parse_settings
from hullcheck.facts.package_archives import (
    apk_switches,
    apt_sources,
    pacman_repositories,
    rpm_repositories,
    zypp_repositories,
)
from hullcheck.facts.package_files import PackageFile, program
from hullcheck.judge import Site, judge
from tests.unit.fake import host_with
from tests.unit.package_fake import package_answers
from tests.unit.podman_fake import podman_answers


def status(test, files=None, **more):
    answers = {**podman_answers(), **package_answers(files, **more)}
    verdict = judge(control_of(test), host_with(answers), Site("h"))
    return str(verdict.status)


DEBIAN = {
    "/etc/apt/sources.list": "# trusted=yes\ndeb http://deb.debian.org/debian bookworm main\n"
    "deb-src [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] http://x.example/debian ./\n",
    "/etc/apt/sources.list.d/debian.sources": "Types: deb\nURIs: http://deb.debian.org/debian\n"
    "Suites: bookworm\nSigned-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQINBF\n\n"
    "# Trusted: yes\nTypes: deb\nURIs: https://x.example\nTrusted: no\n",
}
FEDORA = {
    "/etc/dnf/dnf.conf": "[main]\ngpgcheck=1\n",
    "/etc/yum.repos.d/fedora.repo": "[fedora]\nmetalink=https://m.example/?a=1\nenabled=1\n"
    "repo_gpgcheck=0\ngpgcheck=1\n[fedora-debuginfo]\nenabled=0\ngpgcheck=0\n",
}
SUSE = {
    "/etc/zypp/repos.d/oss.repo": "[oss]\nenabled=1\nbaseurl=http://download.opensuse.org/d/\n",
    "/etc/zypp/repos.d/b.repo": "[b]\nenabled=1\ngpgcheck=1\npkg_gpgcheck=0\nbaseurl=https://b\n",
}
ARCH = {
    "/etc/pacman.conf": "[options]\nSigLevel    = Required DatabaseOptional\n[core]\n"
    "Include = /etc/pacman.d/mirrorlist\n"
}
ALPINE = {"/etc/apk/repositories": "http://dl-cdn.alpinelinux.org/alpine/v3.20/main\n"}

YUM, ZYPP = "/etc/yum.repos.d/x.repo", "/etc/zypp/repos.d/x.repo"
LIST, SOURCES = "/etc/apt/sources.list.d/x.list", "/etc/apt/sources.list.d/x.sources"
OVERRIDE = "/etc/dnf/repos.override.d/99.repo"


@pytest.mark.parametrize("files", [DEBIAN, FEDORA, SUSE, ARCH, ALPINE])
def test_distributions_as_they_come_pass(files):
    apt = 'APT::Get::AllowUnauthenticated "false";\nAcquire::https::Verify-Peer "true";\n'
    for answer in (apt,) if files is DEBIAN else (apt, (127, "")):
        assert status(checks.test_verified_archives, files, apt=answer) == "pass"
    assert status(checks.test_verified_archives) == "not-applicable"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({LIST: "deb [trusted=yes] http://x.example ./\n"}, "fail"),
        ({LIST: "deb [ arch=amd64 Trusted=true ] http://x.example ./\n"}, "fail"),
        ({LIST: "deb [allow-insecure=yes] http://x.example ./\n"}, "fail"),
        ({LIST: "deb [trusted=no] http://x.example ./\n"}, "pass"),
        ({LIST: "deb [trusted=yes] file:/srv/debs ./\n"}, "manual"),
        ({SOURCES: "Types: deb\nURIs: http://x.example\nTrusted: yes\n"}, "fail"),
        ({SOURCES: "Enabled: no\nTypes: deb\nURIs: http://x.example\nTrusted: yes\n"}, "pass"),
        ({SOURCES: "Types: deb\nURIs: http://x\n \t\n\nURIs: http://y\nallow-insecure: Yes\n"},
         "fail"),
        # Of yum: the repository's own word counts, a disabled one has none.
        ({**FEDORA, YUM: "[x]\nbaseurl=http://x\n"}, "pass"),
        ({**FEDORA, YUM: "[x]\nbaseurl=http://x\ngpgcheck=0\n"}, "fail"),
        ({**FEDORA, YUM: "[x]\nbaseurl=http://x\ngpgcheck = False\nrepo_gpgcheck=1\n"}, "pass"),
        ({**FEDORA, YUM: "[x]\nbaseurl=http://x\nenabled=0\ngpgcheck=0\n"}, "pass"),
        ({**FEDORA, YUM: "[x]\nbaseurl=file:///srv/rpms\ngpgcheck=0\n"}, "manual"),
        ({**FEDORA, YUM: "[x]\nbaseurl=file:///srv\n  http://x\ngpgcheck=0\n"}, "fail"),
        ({**FEDORA, YUM: "[x]\nbaseurl=https://x\nsslverify=0\n"}, "fail"),
        ({"/etc/dnf/dnf.conf": "[main]\ngpgcheck=0\n", YUM: "[x]\nbaseurl=https://x\n"}, "fail"),
        ({"/etc/dnf/dnf.conf": "[main]\n", YUM: "[x]\nbaseurl=https://x\n"}, "unknown"),
        ({**FEDORA, YUM: "[x]\nbaseurl=https://x\n", OVERRIDE: "[x*]\ngpgcheck=0\n"}, "fail"),
        ({**FEDORA, YUM: "[x]\nbaseurl=https://x\ngpgcheck=0\n", OVERRIDE: "[x]\nenabled=0\n"},
         "pass"),
        ({**FEDORA, YUM: "gpgcheck=0\n"}, "unknown"),
        ({"/etc/dnf/dnf.conf": "[main]\nreposdir=/srv/repos\n"}, "unknown"),
        ({"/etc/dnf/dnf.conf": "[main]\nreposdir=/etc/yum.repos.d/, /etc/yum/repos.d\n"}, "pass"),
        ({ZYPP: "[x]\nbaseurl=https://x\ngpgcheck=0\n"}, "fail"),
        ({ZYPP: "[x]\nbaseurl=https://x\ngpgcheck=0\npkg_gpgcheck=1\n"}, "pass"),
        ({ZYPP: "[x]\nbaseurl=https://x\nrepo_gpgcheck=0\n"}, "pass"),
        ({ZYPP: "[x]\nbaseurl=https://x\nrepo_gpgcheck=0\npkg_gpgcheck=0\n"}, "fail"),
        ({ZYPP: "[x]\nbaseurl=cd:///?devices=/dev/sr0\ngpgcheck=0\n"}, "manual"),
        ({ZYPP: "[x]\nbaseurl=https://x/?ssl_verify=no\n"}, "fail"),
        ({"/etc/zypp/zypp.conf": "[main]\ngpgcheck = off\n", ZYPP: "[x]\nbaseurl=https://x\n"},
         "fail"),
        ({"/etc/pacman.conf": "[options]\nSigLevel = Never\n"}, "fail"),
        ({"/etc/pacman.conf": "[options]\nSigLevel = Required\n[x]\nSigLevel = Optional TrustAll\n"
          "Server = http://x\n"}, "fail"),
        ({"/etc/pacman.conf": "[options]\nSigLevel = PackageOptional\nLocalFileSigLevel = Never\n"},
         "fail"),
        ({"/etc/pacman.conf": "[options]\nLocalFileSigLevel = Optional\n"}, "pass"),
        ({"/etc/apk/config": "--allow-untrusted\n", **ALPINE}, "fail"),
        ({"/etc/apk/config": "cache-packages\n", **ALPINE}, "pass"),
    ],
)  # fmt: skip
def test_archives(files, expected):
    apt = "" if any("/apt/" in path for path in files) else (127, "")
    assert status(checks.test_verified_archives, files, apt=apt) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ('APT::Get::AllowUnauthenticated "true";\n', "fail"),
        ('APT::Get::AllowUnauthenticated "true";\nAPT::Get::AllowUnauthenticated "0";\n', "pass"),
        ('Acquire::AllowInsecureRepositories "1";\n', "fail"),
        ('Acquire::https::x.example::Verify-Peer "false";\n', "fail"),
        ('Acquire::http::Proxy "http://p";\n', "pass"),
        ('Dir "/";\nDir::Etc "etc/apt";\nDir::Etc::sourceparts "sources.list.d";\n', "pass"),
        ('Dir::Etc::sourceparts "/srv/lists";\n', "unknown"),
    ],
)
def test_what_apt_is_set_to(said, expected):
    assert status(checks.test_verified_archives, DEBIAN, apt=said) == expected


BOB = "/home/bob"
SETTINGS = [
    ("/etc/pip.conf", "[global]\ncert = /etc/ca.pem\nindex-url = https://u@p.example/simple\n", 0),
    ("/etc/pip.conf", "[global]\nindex_url = http://p.example/simple\n", 1),
    ("/etc/pip.conf", "[global]\nindex-url = http://localhost:3141/root/pypi\n", 0),
    (f"{BOB}/.pip/pip.conf", "[install]\ntrusted-host =\n    a.example\n    b.example\n", 2),
    (f"{BOB}/.pip/pip.conf", "[global]\ntrusted-host = localhost\n", 0),
    ("/etc/environment", "PIP_TRUSTED_HOST=127.0.0.1:3141\n", 0),
    (f"{BOB}/.config/uv/uv.toml", 'allow-insecure-host = ["a.example"]\n', 1),
    (f"{BOB}/.config/uv/uv.toml", '[[index]]\nname = "a"\nurl = "http://a.example"\n', 1),
    (f"{BOB}/.npmrc", "registry=https://r.example/\nstrict-ssl=true\n", 0),
    (f"{BOB}/.npmrc", "strict-ssl=false\n@acme:registry=http://r.example\n", 2),
    (f"{BOB}/.yarnrc", 'registry "http://r.example"\nstrict-ssl false\n', 2),
    (f"{BOB}/.yarnrc.yml", 'enableStrictSsl: false\nnpmRegistryServer: "http://r.example"\n', 2),
    (f"{BOB}/.yarnrc.yml", "unsafeHttpWhitelist:\n  - r.example\n", 1),
    (f"{BOB}/.yarnrc.yml", "enableStrictSsl: true\n", 0),
    (f"{BOB}/.config/go/env", "GOSUMDB=off\nGOINSECURE=*.corp\nGOFLAGS=-mod=mod -insecure\n", 3),
    (f"{BOB}/.config/go/env", "GOPRIVATE=git.acme.example\nGONOSUMDB=git.acme.example\n", 0),
    (f"{BOB}/.config/go/env", "GONOSUMDB=*\nGOPRIVATE=github.com\n", 2),
    (f"{BOB}/.config/go/env", "GOPROXY=https://p.example,http://q.example,direct\n", 1),
    ("/usr/local/go/go.env", "GOPROXY=https://proxy.golang.org\nGOSUMDB=sum.golang.org\n", 0),
    (f"{BOB}/.cargo/config.toml", '[source.a]\nregistry = "sparse+http://a.example"\n', 1),
    (f"{BOB}/.cargo/config.toml", '[registries.a]\nindex = "sparse+https://a.example/"\n', 0),
    (f"{BOB}/.config/composer/config.json", '{"config": {"secure-http": false}}\n', 1),
    (f"{BOB}/.composer/config.json", '{"config": {"disable-tls": true}}\n', 1),
    (f"{BOB}/.composer/config.json", '{"config": {"secure-http": true}}\n', 0),
    (f"{BOB}/.bundle/config", '---\nBUNDLE_SSL_VERIFY_MODE: "0"\n', 1),
    (f"{BOB}/.bundle/config", 'BUNDLE_MIRROR__HTTPS://RUBYGEMS__ORG/: "http://g.example"\n', 1),
    (f"{BOB}/.gemrc", "---\n:ssl_verify_mode: 0\n:sources:\n- http://rubygems.org/\n", 2),
    (f"{BOB}/.gemrc", "---\n:sources:\n- https://rubygems.org/\n", 0),
    (f"{BOB}/.condarc", "ssl_verify: false\nchannels:\n  - http://c.example\n  - defaults\n", 2),
    (f"{BOB}/.condarc", "ssl_verify: /etc/ca.pem\n", 0),
    (f"{BOB}/.config/helm/repositories.yaml",
     "repositories:\n- other: x\n  insecure_skip_tls_verify: true\n  url: http://h.example\n", 2),
    (f"{BOB}/.curlrc", "# insecure\nproxy = x\n", 0),
    (f"{BOB}/.curlrc", "insecure\n", 1),
    (f"{BOB}/.curlrc", "-sSk\n", 1),
    (f"{BOB}/.curlrc", "--insecure = true\n", 1),
    (f"{BOB}/.curlrc", "-K /etc/more\nno-insecure\n", 0),
    ("/etc/wgetrc", "check-certificate = off\n", 1),
    (f"{BOB}/.wgetrc", "CheckCertificate=on\n", 0),
    ("/etc/environment", 'PIP_TRUSTED_HOST="a.example"\nnpm_config_strict_ssl=false\n', 2),
    ("/etc/environment", "GOSUMDB=off\nGOSUMDB=sum.golang.org\n", 0),
    (f"{BOB}/.bashrc", " NODE_TLS_REJECT_UNAUTHORIZED=0\n", 1),
    (f"{BOB}/.profile", " GIT_SSL_NO_VERIFY=false\n PIP_INDEX_URL=https://p.example\n", 0),
]  # fmt: skip


@pytest.mark.parametrize(("path", "text", "count"), SETTINGS)
def test_settings_of_tools(path, text, count):
    file = PackageFile(path, package_files.kind_of(path), text)
    unsafe = [str(each) for each in parse_settings(file) if fetching.unsafe(each)]
    assert len(unsafe) == count, unsafe
    expected = "fail" if count else "pass"
    found = status(checks.test_verified_fetching, {path: text})
    assert found == expected or (found == "not-applicable" and not parse_settings(file))


MAVEN = """<?xml version="1.0"?>
<settings xmlns="http://maven.apache.org/SETTINGS/1.2.0"
          xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <!-- <mirror><url>http://comment.example</url>
  </mirror> -->
  <servers><server><id>a</id><password>hunter2secret</password></server></servers>
  <mirrors><mirror><id>b</id><mirrorOf>external:http:*</mirrorOf><url>http://0.0.0.0/</url>
    <blocked>true</blocked></mirror>{more}</mirrors>
</settings>
"""
PLAIN_MIRROR = "<mirror><id>c</id><url>\n  http://m.example/x </url></mirror>"


def filtered(kind, path, text, tmp_path, awk):
    """Return what the sweep's own awk program brings of a file."""
    place = tmp_path / "file"
    place.write_text(text)
    done = subprocess.run([*awk, program(), f"c={kind}", place], capture_output=True, check=True)
    prefix = f"{place}:"
    lines = done.stdout.decode().splitlines()
    assert all(each.startswith(prefix) for each in lines)
    return PackageFile(path, kind, "".join(f"{each.removeprefix(prefix)}\n" for each in lines))


@pytest.mark.parametrize("awk", [("awk",), ("busybox", "awk")])
def test_secrets_stay_on_the_host(tmp_path, awk):
    """Of files that hold tokens too, only what decides is brought."""
    kept = {
        ("npm", f"{BOB}/.npmrc"): "//r.example/:_authToken=hunter2secret\nstrict-ssl=false\n",
        ("yarn", f"{BOB}/.yarnrc.yml"): "npmAuthToken: hunter2secret\nenableStrictSsl: false\n",
        ("curl", f"{BOB}/.curlrc"): 'user = "bob:hunter2secret"\ninsecure\n',
        ("helm", f"{BOB}/.config/helm/repositories.yaml"):
        "repositories:\n- caFile: ''\n  password: hunter2secret\n  url: http://h.example\n",
        ("composer", f"{BOB}/.composer/config.json"):
        '{"config": {"secure-http": false, "http-basic": {"x": {"password": "hunter2secret"}}}}\n',
        ("pip", "/etc/pip.conf"): "[global]\nindex-url = http://hunter2secret@p.example/simple\n",
        ("conda", f"{BOB}/.condarc"):
        "ssl_verify: no\nchannels:\n  - https://c.example/t/hunter2secret/x\n",
        ("rpm", YUM): "[x]\npassword=hunter2secret\ngpgcheck=0\n",
        ("env", "/etc/environment"): 'API=hunter2secret\nexport GOSUMDB="off" X=hunter2secret\n',
        ("env", "/etc/gitlab-runner/config.toml"):
        '  environment = ["K=hunter2secret", "GIT_SSL_NO_VERIFY=1"]\n',
        ("maven", f"{BOB}/.m2/settings.xml"): MAVEN.format(more=PLAIN_MIRROR),
        ("buildx", f"{BOB}/.docker/buildx/instances/x"):
        '{"Nodes":[{"Files":{"certs/key.pem":"' + "hunter2secret" * 40 + '"}}]}\n',
        ("bundle", f"{BOB}/.bundle/config"):
        'BUNDLE_GEMS__X: "bob:hunter2secret"\nBUNDLE_SSL_VERIFY_MODE: "0"\n',
    }  # fmt: skip
    for (kind, path), text in kept.items():
        file = filtered(kind, path, text, tmp_path, awk)
        assert "hunter2" not in file.text
        if kind in READERS:
            assert any(fetching.unsafe(each) for each in parse_settings(file)), path
    for text in ("# GOSUMDB=off\n", "; GOSUMDB=off\n", "MY_GOSUMDB=off\n"):
        assert not filtered("env", "/etc/environment", text, tmp_path, awk).text


@pytest.mark.parametrize("awk", [("awk",), ("busybox", "awk")])
def test_what_is_left_out_changes_nothing_else(tmp_path, awk):
    """A list or a further line whose key is left out is not that of the key before it."""
    for kind, path, text in (
        (
            "yarn",
            f"{BOB}/.yarnrc.yml",
            'enableStrictSsl: false\nnodeLinker: x\napprovedGitRepositories: # all\n  - "**"\n',
        ),
        ("conda", f"{BOB}/.condarc", "ssl_verify: false\nenvs_dirs:\n  - /opt/envs\n"),
        ("gem", f"{BOB}/.gemrc", "---\n:ssl_verify_mode: 0\n:x: |\n  - y\n:benchmark: false\n"),
    ):
        found = parse_settings(filtered(kind, path, text, tmp_path, awk))
        assert sum(map(fetching.unsafe, found)) == 1, path
    text = "[x]\ngpgcheck=0\nexclude=\n  a:b\nbaseurl=http://x\ngpgkey=file:///a\n  file:///b\n"
    assert len(list(rpm_repositories([filtered("rpm", YUM, text, tmp_path, awk)]))) == 1


@pytest.mark.parametrize("awk", [("awk",), ("busybox", "awk")])
def test_maven(tmp_path, awk):
    for more, expected in (("", []), (PLAIN_MIRROR, ["http://m.example/x"])):
        text = MAVEN.format(more=more)
        file = filtered("maven", f"{BOB}/.m2/settings.xml", text, tmp_path, awk)
        found = [each.value for each in parse_settings(file) if fetching.unsafe(each)]
        assert found == expected
    for bad in ("<!DOCTYPE x [<!ENTITY a 'b'>]><settings/>", "<settings>", "<a><![CDATA[x]]></a>"):
        file = filtered("maven", f"{BOB}/.m2/settings.xml", bad, tmp_path, awk)
        with pytest.raises(Unknown):
            parse_settings(file)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/etc/pip.conf": "[global]\nextra-index-url = https://p.example/simple\n"}, "fail"),
        ({"/etc/pip.conf": "[global]\nextra-index-url = file:///opt/pypi /opt/x\n"}, "pass"),
        ({"/etc/pip.conf": "[global]\nindex-url = https://p.example/simple\n"}, "pass"),
        ({"/etc/environment": "PIP_EXTRA_INDEX_URL=https://p.example\n"}, "fail"),
        ({"/etc/environment": "UV_INDEX_STRATEGY=unsafe-best-match\n"}, "fail"),
        ({f"{BOB}/.npmrc": "strict-ssl=true\n"}, "not-applicable"),
    ],
)
def test_further_indexes(files, expected):
    assert status(checks.test_single_package_index, files) == expected


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/etc/environment": "DOCKER_CONTENT_TRUST=1\n"}, "fail"),
        ({"/etc/environment": "DOCKER_CONTENT_TRUST=0\n"}, "pass"),
        ({f"{BOB}/.bashrc": " DOCKER_CONTENT_TRUST=1\n"}, "fail"),
        ({"/etc/gitlab-runner/config.toml": '"DOCKER_CONTENT_TRUST=1\n'}, "fail"),
        ({"/etc/environment": "DOCKER_CONTENT_TRUST=1\n"
          "DOCKER_CONTENT_TRUST_SERVER=https://notary.example\n"}, "pass"),
        ({"/etc/environment": "DOCKER_CONTENT_TRUST=1\n"
          "DOCKER_CONTENT_TRUST_SERVER=https://notary.docker.io\n"}, "fail"),
    ],
)  # fmt: skip
def test_content_trust(files, expected):
    assert status(checks.test_no_content_trust, files) == expected


HIDDEN = ("hidden /root", "denied /etc/wgetrc", "barred /home/bob/.npmrc", "link /home/bob/.npmrc")


@pytest.mark.parametrize("line", HIDDEN)
def test_what_was_not_looked_at_never_passes(line):
    safe, bad = (
        {"/etc/pip.conf": "[global]\ncert = /x\n"},
        {"/etc/wgetrc": "check_certificate=off\n"},
    )
    for files, expected in ((safe, "unknown"), ({}, "unknown"), (bad, "fail")):
        if not (bad is files and "wgetrc" in line):
            assert status(checks.test_verified_fetching, files, hidden=[line]) == expected
    # The system's own archives are seen without root.
    assert status(checks.test_verified_archives, FEDORA, hidden=[line]) == "pass"
    for folder in ("hidden /etc/yum.repos.d", "hidden /etc", "denied /etc/yum.repos.d/x.repo"):
        assert status(checks.test_verified_archives, FEDORA, hidden=[folder]) == "unknown"


def test_damaged_answers_never_pass():
    for text in ("", "= end", "= home /root\n", "/etc/pip.conf:[global]\n= end\n", "what\n= end\n"):
        answers = {**podman_answers(), **package_answers(), package_files.SWEEP.command: text}
        for test in (checks.test_verified_fetching, checks.test_verified_archives):
            assert str(judge(control_of(test), host_with(answers), Site("h")).status) == "unknown"
    denied = package_answers(DEBIAN, apt=(127, ""))
    found = judge(control_of(checks.test_verified_archives), host_with(denied), Site("h"))
    assert str(found.status) == "unknown"


@settings(max_examples=60)
@given(st.text(max_size=120), st.sampled_from(sorted(READERS)))
def test_readers_take_any_text(text, kind):
    file = PackageFile("/x", kind, text)
    with suppress(Unknown):
        for each in parse_settings(file):
            fetching.unsafe(each)
    for read in (apt_sources, pacman_repositories, apk_switches):
        list(read(PackageFile("/etc/x.sources", kind, text)))
    for read_all in (rpm_repositories, zypp_repositories):
        with suppress(Unknown):
            list(read_all([PackageFile("/x.repo", kind, text)]))


def test_hostile_documents_are_unknown():
    deep = "a: " + "[" * 5000
    for kind, text in (("conda", deep), ("conda", "a: &x [1]\nb: *x\n"), ("composer", "[" * 99999),
                       ("uv", "a = " + "[" * 99999), ("conda", "a: " + "9" * 5000)):  # fmt: skip
        with pytest.raises(Unknown):
            parse_settings(PackageFile("/x", kind, text))


def test_every_variable_that_is_judged_is_swept():
    assert set(packages.VARIABLES) <= set(package_files.NAMES)
