"""No secret survives the redactor, and nothing else is touched."""

from __future__ import annotations

import base64
import json
import time

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hullcheck.transport import Evidence
from hullcheck.transport.redact import PLACEHOLDER, Redactor, looks_secret

redactor = Redactor(b"salt of the run", ["sud0 'pa\"ss"])

PRINTABLE = st.characters(codec="utf-8", exclude_categories=("C", "Z"))
NSSWITCH = frozenset(
    ("files", "compat", "db", "nis", "ldap", "sss", "systemd", "winbind", "extrausers", "altfiles")
)
SECRETS = st.text(PRINTABLE, min_size=6, max_size=40).filter(
    # What stands for no secret: a path, a reference, what is replaced already.
    lambda text: (
        not text.startswith(("/", "$", "{{", "-", "[redacted", "file:"))
        and not set(text) & set("\"'\\,&;@/`%")
        # What nsswitch.conf says of "passwd".
        and not set(text.split()) <= NSSWITCH
    )
)
NAMES = st.sampled_from(
    ["DB_PASSWORD", "passwd", "API_KEY", "apiKey", "AWS_SECRET_ACCESS_KEY", "CLIENT_SECRET",
     "GITHUB_TOKEN", "identitytoken", "registrytoken", "auth", "MYSQL_PWD", "credential",
     "splunk-token", "privateKey"]
)  # fmt: skip


def pem(kind: str, body: str) -> str:
    return f"-----BEGIN {kind}PRIVATE KEY-----\n{body}\n-----END {kind}PRIVATE KEY-----\n"


FORMS = {
    "json key": lambda name, secret: json.dumps({"a": {name: secret}, "b": 1}),
    "json environment": lambda name, secret: json.dumps({"Env": ["A=b", f"{name}={secret}"]}),
    "json in json": lambda name, secret: json.dumps({"x": json.dumps({name: secret, "y": "z"})}),
    "json flag": lambda name, secret: json.dumps(["x", f"--{name}", secret, "y"]),
    "json flag=": lambda name, secret: json.dumps(["x", f"--{name}={secret}", "y"]),
    "json script": lambda name, secret: json.dumps(f'sh -c "export {name}={secret}" && x'),
    "kubernetes": lambda name, secret: json.dumps({"name": name, "value": secret}, indent=1),
    "environ": lambda name, secret: f"A=b\0{name}={secret}\0C=d\0",
    "first of environ": lambda name, secret: f"{name}={secret}\0C=d\0",
    "cmdline": lambda name, secret: f"/bin/x\0--{name}\0{secret}\0-v\0",
    "cmdline=": lambda name, secret: f"/bin/x\0--{name}={secret}\0-v\0",
    "environment file": lambda name, secret: f"A=b\n{name}={secret} and more\n",
    "quoted in a file": lambda name, secret: f"A=b\nexport {name}='{secret} x'\n",
    "unit": lambda name, secret: f'Environment="{name}={secret} x" A=b',
    "systemctl": lambda name, secret: f"Environment=A=b {name}={secret} C=d",
    "yaml": lambda name, secret: f"a:\n  - {name}: {secret} x\n",
    "quoted yaml key": lambda name, secret: f'a:\n  "{name}": k{secret} x\n',
    "yaml value": lambda name, secret: f"a:\n  {name}:\n    value: {secret} x\n",
    "kubernetes yaml that grep read": lambda name, secret: (
        f"/etc/a b.yaml:- name: {name}\n/etc/a b.yaml:  value: {secret}\n"
    ),
    "kubernetes flow in quotes": lambda name, secret: f'- {{name: {name}, value: "{secret}"}}\n',
    "kubernetes name last": lambda name, secret: f"- value: {secret}\n  name: {name}\n",
    "kubernetes yaml": lambda name, secret: f"- name: {name}\n  value: {secret} x\n",
    "Dockerfile": lambda name, secret: f"FROM a\nENV {name} {secret} x\n",
    "toml": lambda name, secret: f'{name} = "{secret} x"\n',
    "mount options": lambda name, secret: f"rw,{name}={secret},uid=0",
    "url query": lambda name, secret: f"http://x/?a=b&{name}={secret}&c=d",
    "url": lambda name, secret: f"http_proxy=http://user:{secret}@proxy:3128/",
    "header": lambda name, secret: f"> Authorization: Bearer {secret}\r\n",
    "list of headers": lambda name, secret: f'Authorization: ["Basic {secret}"]\n',
    "json header": lambda name, secret: json.dumps({"Authorization": f"Basic {secret}"}),
}
KEYS = {
    "key file": lambda name, secret: pem("RSA ", f"{'MIIE' * 16}\n{secret}\n"),
    "encrypted key": lambda name, secret: pem(
        "RSA ", f"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,0F\n\n{secret}"
    ),
    "json key file": lambda name, secret: json.dumps({"k": pem("", secret), "l": "m"}),
    "key in json lines": lambda name, secret: json.dumps(
        {"k": pem("", f"{'ab' * 20}\n{secret}").splitlines()}, indent=1
    ),
    "cut key file": lambda name, secret: pem("EC ", secret + "A" * 16).partition("\n-----END")[0],
    "keys in a row": lambda name, secret: pem("EC ", "a").partition("\n---")[0] + pem("", secret),
}


@pytest.mark.parametrize("form", [*FORMS, *KEYS])
@given(name=NAMES, secret=SECRETS)
def test_a_planted_secret_never_survives(form: str, name: str, secret: str) -> None:
    if form in KEYS:
        secret = base64.b64encode(secret.encode()).decode()
    escaped = json.dumps(secret)[1:-1]
    form_alone = {**FORMS, **KEYS}[form](name, "")
    assume(escaped not in form_alone and secret not in form_alone)
    text = {**FORMS, **KEYS}[form](name, secret)
    clean = redactor.clean(text.encode())
    marks = PLACEHOLDER.findall(clean)
    assert marks, clean
    left = PLACEHOLDER.sub(b"", clean)
    assert secret.encode() not in left
    assert escaped.encode() not in left
    assert redactor.clean(clean) == clean


@pytest.mark.parametrize("form", [form for form in (*FORMS, *KEYS) if "json" in form])
@given(name=NAMES, secret=st.text(min_size=1) | st.text("'\"\\\n= x:"))
def test_json_stays_json(form: str, name: str, secret: str) -> None:
    clean = redactor.clean({**FORMS, **KEYS}[form](name, secret).encode())
    json.loads(clean)
    assert redactor.clean(clean) == clean


OPENINGS = st.sampled_from(
    ["PASSWORD='", 'TOKEN="', "x token=\\\"", "-----BEGIN PRIVATE KEY-----", "--secret ",
     "secret: ", '"password": ', "--token\0", "Authorization: Bearer ", "https://u:",
     "PASSWORD=\\'", "$6$"]
)  # fmt: skip


@given(OPENINGS, st.text("'\"\\= x:", max_size=5), st.booleans())
def test_what_a_user_writes_takes_nothing_else_away(opening: str, more: str, own: bool) -> None:
    """A name, label or socket that looks like the start of a secret must not hide what follows."""
    evil = opening + more
    lines = f"1: /run/a.sock\n2: {evil}\n3: /run/docker.sock\n4: {more}{opening}\n5: /run/b\n"
    clean = redactor.clean(lines.encode()).decode()
    kept = [line for line in lines.split("\n")[0::2] if line]
    assert [line for line in clean.split("\n")[0::2] if line] == kept
    containers = [{"Name": "a", "Env": [evil]}, {"Privileged": True, "Labels": {"x": evil + more}}]
    text = json.dumps([*containers, {"Pid": 5}], indent=1 if own else None)
    found = json.loads(redactor.clean(text.encode()))
    assert (found[0]["Name"], found[1]["Privileged"], found[2]) == ("a", True, {"Pid": 5})
    assert len(found[0]["Env"]) == 1


@given(st.binary(), st.binary())
def test_any_bytes_twice_is_once(left: bytes, right: bytes) -> None:
    for text in (left + right, left + b"PASSWORD=" + right, b'"token": "' + left + b'"' + right):
        clean = redactor.clean(text)
        assert redactor.clean(clean) == clean


PARTS = st.sampled_from(
    [b"PASSWORD", b"token", b"=", b": ", b'"', b"\\", b"'", b"\0", b"\n", b" ", b"://a:", b"@",
     b"x", b"-----BEGIN PRIVATE KEY-----", b"-----END PRIVATE KEY-----", b"--", b",", b"Bearer ",
     b"$6$aa$", b"[redacted:3:0123456789ab]", b"[redacted:", b"]", b"value", b"Authorization",
     b"ghp_", b"a" * 40, b"eyJhbGciOi.", b"1"]
)  # fmt: skip


@given(st.lists(PARTS, max_size=20).map(b"".join))
def test_twice_is_once(text: bytes) -> None:
    clean = redactor.clean(text)
    assert redactor.clean(clean) == clean


@pytest.mark.parametrize(
    "secret",
    [
        "AKIAIOSFODNN7EXAMPLE",
        "ghp_" + "a1B2" * 9,
        "github_pat_" + "a1B2" * 9,
        "glpat-" + "x1_-" * 5,
        "glrt-t3_" + "x1_-" * 5,
        "glrt-" + "x1_-" * 9 + ".01.170dsyc3c",
        "glcbt-64_" + "x1_-" * 5,
        "glffct-" + "x1_-" * 5,
        "glsoat-" + "x1_-" * 5,
        "GR1348941" + "x1_-" * 5,
        "xoxb-123456789012-abcdef",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "SWMTKN-1-"
        + "3pu6hszjas19xyp7ghgosyx9k8atbfcr8p2is99znpy26u2lkl-1awxwuwd3z9j1z3puu7rcgdbx",
        "$6$salt$" + "a/B." * 20,
        "$2y$05$" + "a/B." * 13,
        "$y$j9T$salt$" + "a/B." * 10,
        "dckr_pat_" + "a1B2" * 6,
        *(
            f"{each}{'a1B2' * 8}"
            for each in (
                "glrt-",
                "gldt-",
                "glptt-",
                "glcbt-",
                "pypi-AgEIcHlwaS5vcmc",
                "shpat_",
                "xapp-1-",
                "sq0atp-",
                "hf_",
                "sk-ant-api03-",
                "sk-proj-",
                "lin_api_",
            )
        ),
        "ghs_" + "a1B2" * 8 + ".eyJ" + "a1_-" * 8,
        "dop_v1_" + "0123abcd" * 8,
    ],
)
def test_the_shape_of_a_secret_is_enough(secret: str) -> None:
    for text in (secret, f"x {secret} y", json.dumps(["a", secret]), f"root:{secret}:19000:"):
        clean = redactor.clean(text.encode())
        assert secret.encode() not in clean
        assert len(PLACEHOLDER.findall(clean)) == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"Env": ["PASSWORD_FILE=/run/secrets/x", "MAX_TOKENS=5", "PWD=/srv", "OLDPWD=/"]}',
        '{"authorization-plugins": ["opa"], "no-new-privileges": true, "tlskey": "/etc/key.pem"}',
        '{"Plugins": {"Authorization": ["opa"]}, "secret": null, "token": 5, "x": {"auth": true}}',
        '{\n "token": 5,\n "auth": -1.5e3\n}',
        '{"tokens": {"expire": "24h"}, "private-key": "/etc/docker/key.json", "i": "a:1@sha256:0"}',
        '{"Image": "docker://alpine:3.19@sha256:0123456789abcdef", "RepoDigests": ["a@sha256:00"]}',
        "dockerd\0--authorization-plugin=opa\0--tlskey=/a.pem\0--tlsverify\0-H\0tcp://[::1]:2376\0",
        "dockerd\0--userns-remap=default\0--no-new-privileges=false\0--password-stdin\0x\0",
        " Authorization: opa\n Network: bridge host\n",
        "passwd:         files systemd\nshadow: files\n",
        "CONFIG_SECRETMEM=y\nCONFIG_KEYS=y\nCONFIG_SYSTEM_TRUSTED_KEYS=\"\"\n# CONFIG_SECRET not\n",
        "NoNewPrivs:\t1\nSeccomp:\t2\nCapBnd:\t000001ffffffffff\n",
        "docker-secrets:x:998:ann,bob\npasswd:x:1:\n",
        "-w /etc/docker/key.json -p wa -k docker-secret\n-a always,exit -F key=token\n",
        "ssh://root@web1:22/ and docker.io/library/alpine:3.19 http://[::1]:80/a@b user@host:/x",
        "PermitRootLogin no\nPasswordAuthentication no\nAuthorizedKeysFile .ssh/authorized_keys\n",
        "PASSWORD=${DB_PASSWORD}\nTOKEN=\nautomountServiceAccountToken: false\nauthentication: x\n",
        "NPM_TOKEN: ${{ secrets.NPM }}\nid-token: write\nsecrets: inherit\ntoken: $CI_JOB_TOKEN\n",
        "x: https://u:$PASS@h https://u:${{ secrets.X }}@h; curl -H 'Authorization: token $TOKEN'",
        'echo "{\\"auth\\":\\"$(printf "%s:%s" "${A_B}" "${C}" | base64 | tr -d \'\\n\')\\"}" >x',
        "A_TOKEN: ${{ github.event_name == 'push' && secrets.A || '' }}\nsecrets: inherit\n",
        "adduser --disabled-password web && x OTP_SECRET=precompile_placeholder rails",
        "x TOKEN=$(cat /run/secrets/x) make\nPASSWORD=${PASSWORD:?missing}\nSECRET={{ lookup }}\n",
        "GPG_KEY=E3FF2839C048B25C084DEBE9B26995E310250568\0LANG=C\0",
        "24 1 0:22 / /run/secrets/token rw,nosuid shared:2 - tmpfs tmpfs rw,mode=755",
        "Bearer authentication is needed; basic authentication is not; the token is missing",
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n-----BEGIN PUBLIC KEY",
        "git clone https://gitlab-ci-token:${CI_JOB_TOKEN}@git.example/x.git\n",
        "[redacted:12:0123456789ab]",
        "stat: cannot statx '/opt/r/.credentials': No such file or directory\n",
        "stat: cannot statx '/root/initialAdminPassword': Permission denied\n",
        "stat: cannot statx '/usr/bin/docker-credential-pass': No such file or directory\n",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(text: str) -> None:
    assert redactor.clean(text.encode()).decode() == text


@pytest.mark.parametrize(
    "text",
    [
        "DefaultEndpointsProtocol=https;AccountKey=@@==;EndpointSuffix=x",
        "Endpoint=sb://x/;SharedAccessKeyName=root;SharedAccessKey=@@=;EntityPath=x",
        "https://x.blob.core.windows.net/c?sv=2024&sig=@@",
        "-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n@@\n-----END ENCRYPTED SIGSTORE PRIVATE",
        "-----BEGIN ENCRYPTED COSIGN PRIVATE KEY-----\n@@\n-----END ENCRYPTED COSIGN PRIVATE KEY",
        '{"auths": {"r.example": {"auth": "@@"}}}',
    ],
)
def test_keys_of_clouds_and_signatures(text: str) -> None:
    key = "q1W2e3R4" * 6
    assert key not in redactor.clean(text.replace("@@", key).encode()).decode()


def test_a_docker_configuration_keeps_all_but_the_secrets() -> None:
    config = {"auths": {"r.example": {"auth": "dTpw", "username": "u"}}, "credsStore": "pass"}
    assert json.loads(redactor.clean(json.dumps(config).encode())) == {
        **config,
        "auths": {"r.example": {"auth": marked("dTpw"), "username": "u"}},
    }


def test_a_value_in_braces_ends_with_them() -> None:
    made = redactor.clean(b"a: {TOKEN: abcdef, B: c}\nb: {B: c, TOKEN: abcdef}\n").decode()
    assert (
        made == f"a: {{TOKEN: {marked('abcdef')}, B: c}}\nb: {{B: c, TOKEN: {marked('abcdef')}}}\n"
    )


def test_what_only_begins_like_a_reference_is_cut() -> None:
    for secret in ("$ummer2024", "${A:-hunter2}", "${{ secrets.A || 'hunter2' }}", "$UMMER2024"):
        assert "2" not in redactor.clean(f"PASSWORD: {secret}\n".encode()).decode()[:12]
        assert secret not in redactor.clean(f"PASSWORD: {secret}\n".encode()).decode()


def marked(secret: str) -> str:
    return redactor.clean(b"PASSWORD=" + secret.encode())[9:].decode()


def test_equal_secrets_have_one_mark_in_one_run_only() -> None:
    assert marked("hunter2") == marked("hunter2") != marked("hunter3")
    assert marked("hunter2").startswith("[redacted:7:")
    assert (
        Redactor(b"other").clean(b"PASSWORD=hunter2") != b"PASSWORD=" + marked("hunter2").encode()
    )
    in_json = json.loads(redactor.clean(b'["TOKEN=hunter2", "--token", "hunter2"]'))
    assert in_json == [f"TOKEN={marked('hunter2')}", "--token", marked("hunter2")]


def test_the_whole_evidence_is_cleaned_and_its_exit_code_kept() -> None:
    seen = Evidence("x --token=abcdef", 3, b"PASSWORD=a b\xff", b"://u:pw@h", 1.0, 2.0, 4, "late")
    clean = redactor(seen)
    assert "abcdef" not in clean.command
    assert clean.stdout.startswith(b"PASSWORD=[redacted:4:")
    assert clean.stderr.startswith(b"://u:[redacted:2:")
    kept = ("exit", "started", "seconds", "round", "trouble")
    assert [getattr(clean, name) for name in kept] == [getattr(seen, name) for name in kept]


def test_a_known_secret_is_cut_out_wherever_it_stands() -> None:
    secret = "sud0 'pa\"ss"
    for text in (secret, f"x{secret}y", json.dumps([secret])):
        assert b"sud0" not in redactor.clean(text.encode())
    assert (
        Redactor(b"", ["redacted"]).clean(b"[redacted:1:0123456789ab]").startswith(b"[redacted:1")
    )
    assert Redactor(b"", ["noway"]).clean(b"noway: way").startswith(b"[redacted:5")


def test_a_known_secret_that_is_a_common_word_changes_nothing() -> None:
    text = b"root:x:0:0:root:/root:/bin/sh\n1700000000 12 docker nowayout\n"
    assert Redactor(b"", ["root", "12", "docker", "noway"]).clean(text) == text


@pytest.mark.parametrize(
    "piece",
    [
        b"a", b"-", b"\\", b'"', b" ", b"\0", b"://", b"://a:", b"password", b"password=",
        b'"token":"', b"PASSWORD=\\\"", b"-----BEGIN PRIVATE KEY-----", b"eyJ", b"eyJhbGciOi.",
        b"Bearer 1", b"$6$",
        b"key_", b"token   ", b"secret\\", b"--token ", b"'pass'='", b"authorization:" + b" " * 9,
        b"http://aaaaaaaaaaaaaaaa:bbbbbbbbbbbbbbb", b"gh", b"PASSWORD='x' ",
        b"[{PASSWORD=\\\"x\\\" ", b"token=\\\"x\\\"'", b"-----BEGIN PRIVATE KEY-----\na ",
        b"[redacted:1:", b"SECRET_KEY=x\n",
    ],
)  # fmt: skip
def test_a_megabyte_of_anything_takes_seconds(piece: bytes) -> None:
    begun = time.process_time()
    redactor.clean(piece * (1024 * 1024 // len(piece)))
    assert time.process_time() - begun < 10


def test_eight_megabytes_take_eight_times_as_long_as_one() -> None:
    text = json.dumps([{"Env": ["DB_PASSWORD=x", "A=b"], "Config": {"Labels": "a" * 500}}] * 1700)

    def seconds(times: int) -> float:
        begun = time.process_time()
        redactor.clean(text.encode() * times)
        return time.process_time() - begun

    assert seconds(8) < 8 * 3 * min(seconds(1) for _ in range(3))


def test_names() -> None:
    secret = (
        b"PASSWORD", b"db_password2", b"--api-key", b"accessKey", b"AWS_SESSION_TOKEN", b"PASS",
        b"DB_PASS", b"client-key-data", b"_auth", b"X-Registry-Auth", b"DBPASSWORD", b"secret_id",
    )  # fmt: skip
    harmless = (
        b"PASSWORD_FILE", b"no_new_privs", b"PWD", b"KEY", b"AWS_ACCESS_KEY_ID", b"tokenizers",
        b"authorization-plugins", b"keyctl", b"bypass", b"author", b"SSH_AUTH_SOCK", b"token_ttl",
    )  # fmt: skip
    assert [name for name in secret if not looks_secret(name)] == []
    assert [name for name in harmless if looks_secret(name)] == []


def test_what_nsswitch_says_is_kept_and_what_looks_a_little_like_it_is_not() -> None:
    for line in (b"passwd: files systemd\n", b"passwd: files [!NOTFOUND=return] sss\n"):
        assert redactor.clean(line) == line
    for text in (b'["--db-password", "[==AA]"]', b"passwd: filesx\n"):
        assert PLACEHOLDER.search(redactor.clean(text))


def test_a_value_in_flow_style_ends_with_its_mapping():
    clean = redactor.clean(b"[{name: DB_PASSWORD, value: hunter2x}, {name: A, value: b}]")
    assert b"hunter2x" not in clean and clean.endswith(b"}, {name: A, value: b}]")
