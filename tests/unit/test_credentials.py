"""What holds credentials is told by kind and name; values stay on the host."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from hullcheck.control import Unknown
from hullcheck.facts import get
from hullcheck.facts.credentials.files import Login, secrets_in
from hullcheck.facts.credentials.git import GIT, more_want, parse_git
from hullcheck.facts.credentials.sweep import SWEEP, below_want, extra_want, swept
from hullcheck.facts.credentials.units import SHOWN
from hullcheck.facts.readers import readers_of
from hullcheck.facts.way import FORMAT
from hullcheck.transport import Answer, CannotAnswer, Evidence
from hullcheck.transport.redact import Redactor
from tests.unit.credential_fake import SHELLS, answered, git_of, sweep_of, written
from tests.unit.fake import Reply, host_with

VALUE = "Xq7w2Er9TyZ41pLm"
HOLDS = {
    ".npmrc": (f"//r.example/:_authToken={VALUE}\n", ["_authToken"]),
    ".pypirc": (f"[pypi]\nusername: x\npassword: {VALUE}\n", ["password"]),
    ".config/pip/pip.conf": (f"[global]\nindex-url = https://u:{VALUE}@h/s\n",
                             ["a URL with a password"]),
    ".pip/pip.conf": (f"[global]\nindex-url = https://{VALUE * 2}@h/s\n", ["a URL with a token"]),
    ".m2/settings.xml": (f"<server>\n <password>{VALUE}</password></server>\n", ["password"]),
    ".gradle/gradle.properties": (f"signing.keyPassword={VALUE}\n", ["signing.keyPassword"]),
    ".cargo/credentials.toml": (f'[registry]\ntoken = "{VALUE}"\n', ["token"]),
    ".gem/credentials": (f"---\n:rubygems_api_key: {VALUE}\n", ["rubygems_api_key"]),
    ".nuget/NuGet/NuGet.Config": (f'<add key="ClearTextPassword" value="{VALUE}" />\n',
                                  ["ClearTextPassword"]),
    ".aws/credentials": (f"[a]\naws_secret_access_key = {VALUE}\n", ["aws_secret_access_key"]),
    ".kube/config": (f"- name: x\n  user:\n    token: {VALUE}\n", ["token"]),
    ".config/gh/hosts.yml": (f"github.com:\n    oauth_token: {VALUE}\n", ["oauth_token"]),
    ".terraform.d/credentials.tfrc.json": (
        json.dumps({"credentials": {"h": {"token": VALUE}}}), ["token"]),
    ".git-credentials": (f"https://u:{VALUE}@h\n", ["all of it"]),
    ".vault-token": (VALUE, ["all of it"]),
    ".my.cnf": (f"[client]\npassword={VALUE}\n", ["password"]),
    ".bashrc": (f'export A=1 GH_TOKEN="{VALUE} x"\n', ["GH_TOKEN"]),
    ".zshrc": (f"export PW_TOKEN='${VALUE}!'\n", ["PW_TOKEN"]),
    "sa.json": (f'{{"type": "service_account",\n "private_key": "-----BEGIN PRIVATE KEY{VALUE}"}}',
                ["a private key (service-account)"]),
    "cosign.key": (f"-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n{VALUE}\n",
                   ["a private key (cosign)"]),
}  # fmt: skip
HARMLESS = {
    ".npmrc": "registry=https://r.example/\n//r.example/:_authToken=${NPM_TOKEN}\n",
    ".config/pip/pip.conf": "[global]\nindex-url = https://user@h/s\n",
    ".m2/settings.xml": "<password>{COQLCE6DU6GtcS5P=}</password>\n<password>${env.X}</password>\n",
    ".aws/credentials": "[a]\ncredential_process = /opt/x\n# aws_secret_access_key = x\n",
    ".kube/config": "- name: x\n  user:\n    exec:\n      command: aws\n    tokenFile: /run/x\n",
    ".bashrc": "export GPG_KEY=E3\nTOKEN=$(pass show x)\nPASSWORD=\nexport SSH_AUTH_SOCK=/run/x\n",
    ".git-credentials": "",
    "package.json": '{"name": "x", "private": true}\n',
    ".ssh/id_ed25519.pub": "ssh-ed25519 AAAA x\n",
}


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_what_holds_something(tmp_path: Path, shell: tuple[str, ...]) -> None:
    """In one sweep, by each of the shells and awks that hosts have."""
    home = written(tmp_path, {name: text for name, (text, _) in HOLDS.items()})
    found = sweep_of(home, shell)
    assert not found.hidden
    told = {each.path.removeprefix(f"{home}/"): secrets_in(each) for each in found.found}
    assert told == {name: names for name, (_, names) in HOLDS.items()}
    answer = answered(extra_want((str(home),), ()), shell)
    for at in range(0, len(VALUE) - 7, 4):
        assert VALUE[at : at + 8].encode() not in answer.output + answer.evidence.stderr


def test_what_holds_nothing(tmp_path: Path) -> None:
    found = sweep_of(written(tmp_path, HARMLESS))
    assert [each.path for each in found.found if secrets_in(each)] == []


DOCKER = {
    "auths": {"a.io": {"auth": VALUE}, "b.io": {}, "c.io": {"identitytoken": VALUE}},
    "credsStore": "pass", "credHelpers": {"d.io": "ecr-login"}, "n": 12345678,
    "proxies": {"default": {"httpProxy": f"http://u:{VALUE}@p", "noProxy": "x"}},
    'quoted "key"': f'a \\ "{VALUE}"',
}  # fmt: skip


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
@pytest.mark.parametrize("indent", [None, 2])
def test_logins(tmp_path: Path, shell: tuple[str, ...], indent: int | None) -> None:
    text = json.dumps(DOCKER, indent=indent)
    home = written(tmp_path, {".docker/config.json": text})
    [found] = sweep_of(home, shell).found
    assert found.shape
    assert VALUE not in found.shape
    assert "1234" not in found.shape
    login = Login(host_with({}), found)
    assert login.passwords == ["a.io", "c.io"]
    assert login.proxies == ["httpProxy"]
    assert login.helpers == ["ecr-login", "pass"]


def test_a_name_written_in_another_way_is_the_same_name(tmp_path: Path) -> None:
    text = '{"\\u0061uths": {"a.io": {"\\u0061uth": "dTpw"}}}'
    [found] = sweep_of(written(tmp_path, {".docker/config.json": text})).found
    assert Login(host_with({}), found).passwords == ["a.io"]


@pytest.mark.parametrize("text", ['{"auths": {', '["a"]', "x", '{"auths": "', "[" * 60000])
def test_damaged_logins_are_unknown(tmp_path: Path, text: str) -> None:
    [found] = sweep_of(written(tmp_path, {".docker/config.json": text})).found
    with pytest.raises(Unknown):
        _ = Login(host_with({}), found).passwords


def test_too_long_is_not_read(tmp_path: Path) -> None:
    files = {".docker/config.json": " " * 200_000 + "{}", ".npmrc": "x\n" * 700_000}
    for found in sweep_of(written(tmp_path, files)).found:
        with pytest.raises(Unknown, match="too long"):
            secrets_in(found)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".npmrc")
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "a\nN\t1\tpasswd").write_text("x")
    found = sweep_of(tmp_path)
    assert {each.path for each in found.found} == {f"{tmp_path}/.ssh/a"}
    with pytest.raises(Unknown):
        [secrets_in(each) for each in found.found]


@pytest.mark.parametrize(
    "text",
    ["", "= uid 0\n", "= uid 0\nN\t1\t/x\n", "x\n= end\n", "= uid 0\nQ\t1\n= end\n",
     "= uid 0\n= end"],
)  # fmt: skip
def test_a_sweep_that_is_not_whole_is_no_answer(text: str) -> None:
    with pytest.raises(CannotAnswer):
        swept(Answer(SWEEP, Evidence(SWEEP.command, 0, text.encode(), b"")))


def test_a_last_line_that_goes_on_is_not_dropped(tmp_path: Path) -> None:
    path = written(tmp_path, {"c": "[http]\nsslVerify = false\\"}) / "c"
    with pytest.raises(Unknown):
        git_of(path)
    unit = f"[Service]\nEnvironment=A_TOKEN={VALUE}\\"
    [found] = sweep_of(written(tmp_path, {".config/systemd/user/x.service": unit})).found
    with pytest.raises(Unknown):
        secrets_in(found)


def test_what_an_ordinary_user_cannot_see() -> None:
    text = "= uid 1000\nH\t0\t/root\nX\t13\t/home/x/.npmrc\nD\t13\t/home/y/.npmrc\n= end\n"
    found = swept(Answer(SWEEP, Evidence(SWEEP.command, 0, text.encode(), b"")))
    assert found.hidden == ("/root",)
    assert len(found.found) == 2
    for each in found.found:
        with pytest.raises(Unknown, match="root"):
            secrets_in(each)


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("id_rsa", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n", "encrypted"),
        ("id_rsa", "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n", "open"),
        ("deploy", "-----BEGIN PRIVATE KEY-----\nMIIE\n", "open"),
        ("deploy", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIE\n", "encrypted"),
        ("k", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAA\n", "open"),
        ("k", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1\n",
         "encrypted"),
        ("k.ppk", "PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n", "open"),
        ("config", "Host x\n", ""),
    ],
)  # fmt: skip
def test_kinds_of_keys(tmp_path: Path, name: str, text: str, kind: str) -> None:
    for shell in SHELLS:
        [found] = sweep_of(written(tmp_path, {f".ssh/{name}": text}), shell).found
        assert found.kind == kind


UNIT = f"""[Service]
Environment="A=b" API_TOKEN={VALUE} "DB_PASSWORD={VALUE} y"
Environment=URL=postgres://u:{VALUE}@h/d \\
# a comment between
  X_SECRET={VALUE}
Environment=GPG_KEY=1 PASSWORD_FILE=/run/x TOKEN=${{X}} EMPTY_TOKEN=
ExecStart=/usr/bin/x --token {VALUE} --password-file /etc/x --db-password={VALUE}
"""


def test_units(tmp_path: Path) -> None:
    home = written(tmp_path, {".config/systemd/user/x.service": UNIT})
    for shell in SHELLS:
        [found] = sweep_of(home, shell).found
        assert secrets_in(found) == sorted(
            ["API_TOKEN", "DB_PASSWORD", "a URL with a password", "X_SECRET", "token",
             "db-password"]
        )  # fmt: skip


GIT_FILE = f"""[user]
\tname = "A; B" # comment
[credential "https://x"] helper = "!f() {{ echo password={VALUE}; }}; f"
[url "https://oauth2:{VALUE}@h/"]
 insteadOf = https://h/
[http]
 sslVerify = fa\\
lse ; comment
 extraHeader = "AUTHORIZATION: basic {VALUE}"
[core] hooksPath = "/srv/a b"
[CORE]
 # a comment \\
 fsmonitor
[safe] directory = *
"""


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_git(tmp_path: Path, shell: tuple[str, ...]) -> None:
    path = written(tmp_path, {"config": GIT_FILE}) / "config"
    found = [(str(each), each.value) for each in git_of(path, shell)]
    assert VALUE not in str(found)
    wanted = [
        ("credential.https://x.helper", "!inline-hidden"),
        ("url.https://cut-hidden@h/.insteadof", "https://h/"),
        ("http.extraheader", "hidden"), ("core.hookspath", "/srv/a b"), ("core.fsmonitor", None),
        ("safe.directory", "*"),
    ]  # fmt: skip
    assert [each for each in wanted if each not in found] == []


LINES = r"""[alias]
 mpr = "!f() { \
  declare b=\"$(git x)\"; \
  sslVerify = \"$1 # no comment\"; \
 }; f"
[http]
 sslVerify = true ; a comment is not continued \
 sslVerify = false
 # nor is this \
[safe]
 directory = *
"""


@pytest.mark.parametrize("shell", SHELLS, ids=lambda shell: shell[0])
def test_what_goes_on_in_the_next_line(tmp_path: Path, shell: tuple[str, ...]) -> None:
    """As in the dotfiles that many have copied: programs of many lines, with ; in quotes."""
    path = written(tmp_path, {"c": LINES}) / "c"
    assert [(str(each), each.value) for each in git_of(path, shell)] == [
        ("http.sslverify", "true"), ("http.sslverify", "false"), ("safe.directory", "*"),
    ]  # fmt: skip


def test_quotes() -> None:
    assert parse_git(["[a.B]", 'k = "x\\"y" z ; c'])[0].value == 'x"y z'


def test_no_command_is_cut_by_the_redactor() -> None:
    """Else a recording could not be judged again."""
    cut = Redactor(b"x")
    extra = extra_want(("/x",), ((1, "/y/config.json"),))
    for each in (SWEEP, GIT, SHOWN, below_want(("/srv/x",)), extra, more_want(("/x",))):
        assert cut.clean(each.command.encode()).decode() == each.command


@pytest.mark.parametrize(
    ("file", "home", "group", "members", "expected"),
    [
        ("81a4", "41ed", 1000, "", ["everybody"]),
        ("81a4", "41c0", 1000, "", []),
        ("81a4", "41e8", 50, "eve", ["eve"]),
        ("81a4", "41e8", 1000, "", []),
        ("81a0", "41ed", 50, "eve,ci", ["eve"]),
        ("81a0", "41c0", 50, "eve", []),
        ("81a0", "41ed", 1000, "", []),
        ("8180", "41ed", 50, "eve", []),
    ],
)  # fmt: skip
def test_who_else_reads(
    file: str, home: str, group: int, members: str, expected: list[str]
) -> None:
    """A file of ci with a mode, in a home with a mode; both of one group, in which others are."""

    def stat(mode: str, uid: int, gid: int) -> str:
        return f"{mode} {uid} {gid} 9 0 2049 7 1 x:x\n"

    rows = {"/": stat("41ed", 0, 0), "/h": stat(home, 1000, group),
            "/h/f": stat(file, 1000, group)}  # fmt: skip
    answers: dict[str, Reply] = {f"stat -c '{FORMAT}' -- {path}": row for path, row in rows.items()}
    answers[f"stat -L -c '{FORMAT}' -- /h/f"] = rows["/h/f"]
    bare = "user::rwx\ngroup::r-x\nother::r-x\n"
    answers |= {f"getfacl -cpn -- {path}": bare for path in rows}
    answers["getent passwd"] = "ci:x:1000:1000::/h:/bin/sh\neve:x:1001:1001::/e:/bin/sh\n"
    answers["getent group"] = f"ci:x:1000:\nbuild:x:50:{members}\n"
    there = host_with(answers)
    assert readers_of(get(there, "files").get("/h/f")) == expected
