"""Dockerfiles: how they are read, and what controls say of them."""

from __future__ import annotations

import pytest

from hullcheck.catalogue import all_controls
from hullcheck.facts.build_files.dockerfile import NoDockerfile, parse_dockerfile
from hullcheck.facts.build_files.dockerignore import parse_ignore
from hullcheck.inventory.policy import Policy
from hullcheck.judge import Site, judge
from tests.unit.build_fake import POLICY, ROOT, host_of, judged, status, told

DIGEST = "@sha256:" + "ab" * 32

WHOLE = r"""# syntax=docker/dockerfile:1
# check=error=true

ARG VERSION=3.20 OTHER
FROM --platform=$BUILDPLATFORM alpine:${VERSION} AS Build
RUN --mount=type=cache,target=/c --mount=type=bind,from=tools:1,target=/t <<EOF
apk add curl
FROM evil
EOF
RUN cat <<-X >/f && \
  # a comment

    echo done
	USER root
	X
COPY --chmod=755 <<-A <<"B" /x
one
A
ENV C=d
B
RUN ["sh", "-c", "curl -s https://a.example | sh"]
ENV A=b \
    B="c d"
FROM build
COPY --from=0 /x /y
COPY --from=nginx:1 /x /y
user 1000
"""


def test_directives_heredocs_flags_and_stages() -> None:
    recipe = parse_dockerfile(WHOLE)
    first, last = recipe.stages
    assert recipe.syntax == "docker/dockerfile:1"
    assert (first.name, first.base.name, first.base.number) == ("build", "alpine:3.20", 5)
    assert [each.keyword for each in first.lines] == ["RUN", "RUN", "COPY", "RUN", "ENV"]
    assert first.lines[0].script == "apk add curl\nFROM evil"
    assert first.lines[1].heredocs == {"X": "USER root"}
    assert first.lines[2].heredocs == {"A": "one", "B": "ENV C=d"}
    assert first.lines[2].flag("chmod") == ["755"]
    assert first.lines[3].script == "sh -c 'curl -s https://a.example | sh'"
    assert [each.name for each in recipe.outside()] == ["alpine:3.20", "tools:1", "nginx:1"]
    assert recipe.chain(last) == [last, first]
    assert (last.lines[-1].keyword, last.lines[-1].number) == ("USER", 27)


def test_a_backtick_may_escape() -> None:
    recipe = parse_dockerfile("# escape=`\nFROM a:1\nRUN dir c:\\ `\n  && echo b\nUSER u\n")
    assert [each.text for each in recipe.stages[0].lines] == ["dir c:\\   && echo b", "u"]


@pytest.mark.parametrize(
    "text",
    ["", "\0\0", "RUN a", "FROM", "FROM a\nRNU b", "FROM a\nRUN <<X\nno end", "# escape=x\nFROM a",
     "FROM a\n" * 30_000, "{{ from }} a", "\udcff\udcfe"],
)  # fmt: skip
def test_damaged_text_is_no_dockerfile(text: str) -> None:
    with pytest.raises(NoDockerfile):
        parse_dockerfile(text)


def test_long_and_deep_text_is_read_in_time() -> None:
    for text in ("FROM a\nRUN " + "<<A " * 20_000, "FROM a\nENV " + "\\" * 200_000,
                 'FROM a\nCOPY ["' + "[" * 100_000, "FROM ${" * 20_000,
                 "FROM a\nRUN " + "\\\n" * 15_000, 'FROM a\nENV A="' + "\\a" * 99_999):  # fmt: skip
        with pytest.raises((NoDockerfile, AssertionError)):
            assert not parse_dockerfile(text)


FLIPS = [
    ("dockerfile-base-version", "FROM debian:12\n", "FROM debian\n"),
    ("dockerfile-base-version", f"FROM a{DIGEST}\n", "FROM a:1\nCOPY --from=b:latest / /\n"),
    ("dockerfile-base-version", "ARG V=12\nFROM debian:$V\n", "ARG V=latest\nFROM debian:${V}\n"),
    ("dockerfile-base-version", "ARG V\nFROM debian:${V:-12}\n", "FROM debian:edge AS x\nFROM x\n"),
    ("dockerfile-base-digest", f"FROM debian:12{DIGEST} AS a\nFROM a\n", "FROM debian:12\n"),
    ("dockerfile-base-digest", f"FROM a:1{DIGEST}\nRUN --mount=type=bind,from=b:1{DIGEST} x\n",
     f"FROM a:1{DIGEST}\nRUN --mount=type=bind,from=b:1 x\n"),
    ("dockerfile-base-origin", "FROM registry.example/a:1\n", "FROM ghcr.io/mallory/a:1\n"),
    ("dockerfile-base-origin", "FROM debian:12\n", "FROM mallory/debian:12\n"),
    ("dockerfile-frontend", "FROM a:1\n", "# syntax=mallory/dockerfile:1\nFROM a:1\n"),
    ("dockerfile-frontend", "# syntax=docker.io/docker/dockerfile-upstream:master\nFROM a:1\n",
     "#!/bin/x\n# syntax = ghcr.io/docker/dockerfile\nFROM a:1\n"),
    ("dockerfile-frontend", "# a comment\n# syntax=mallory/late\nFROM a:1\n",
     "// syntax=mallory/dockerfile\nFROM a:1\n"),
    ("dockerfile-secrets", "FROM a\nENV DB_PASSWORD_FILE=/run/secrets/p\n",
     "FROM a\nENV A=b \\\n  DB_PASSWORD=hunter2 \\\n  C=d\n"),
    ("dockerfile-secrets", "FROM a\nENV TOKEN=\n", "FROM a\nENV DB_PASSWORD correct horse\n"),
    ("dockerfile-secrets", "FROM a\nARG VERSION\n", "FROM a\nARG NPM_TOKEN\n"),
    ("dockerfile-secrets", 'FROM a\nRUN curl -H "Authorization: Bearer $TOKEN" https://a.example\n',
     "FROM a\nRUN curl -u x --password hunter2 https://a.example\n"),
    ("dockerfile-secrets", "FROM a\nRUN --mount=type=secret,id=npm,env=NPM_TOKEN npm ci\n",
     "FROM a\nRUN git clone https://u:hunter2@git.example/a\n"),
    ("dockerfile-secrets", "FROM a\nRUN TOKEN=$(cat /run/secrets/t) make\n",
     "FROM a\nONBUILD ENV API_KEY=abcdefgh\n"),
    ("dockerfile-verified", "FROM a\nRUN apt-get update && apt-get install -y x\n",
     "FROM a\nRUN <<E\nset -e\ncurl -fsSL https://a.example/i | bash\nE\n"),
    ("dockerfile-verified", "FROM a\nRUN echo 'curl a | sh' >/readme\n",
     'FROM a\nRUN ["bash", "-c", "curl -k https://a.example"]\n'),
    ("dockerfile-verified", "FROM a\nENV PIP_INDEX=x\n",
     "FROM a\nARG PIP_TRUSTED_HOST=pypi.example\n"),
    ("dockerfile-verified",
     "FROM a\nRUN curl -o x https://a.example/x && echo d x | sha256sum -c && sh x\n",
     "FROM a\nONBUILD RUN wget -O- http://a.example/x | sh\n"),
    ("dockerfile-add", f"FROM a\nADD --checksum=sha256:{'a' * 64} https://a.example/b /b\n",
     "FROM a\nADD https://a.example/b /b\n"),
    ("dockerfile-add", f"FROM a\nADD https://github.com/a/b.git#{'a' * 40} /b\n",
     "FROM a\nADD git@github.com:a/b.git /b\n"),
    ("dockerfile-user", "FROM a\nUSER 1000:0\n", "FROM a\nUSER app\nUSER root\n"),
    ("dockerfile-user", "FROM a AS x\nUSER app\nFROM x\n", "FROM a AS x\nUSER app\nFROM a\n"),
    ("dockerfile-user", "FROM a\nARG U=app\nUSER $U\n", 'FROM a\nENV U=0\nUSER "$U":x\n'),
    ("dockerfile-user", "FROM gcr.io/distroless/static:nonroot\n", "FROM a\nUSER 00\n"),
    ("dockerfile-user", "FROM a\nRUN <<E\nUSER root\nE\nUSER u\n", "FROM a\nRUN <<E\nUSER u\nE\n"),
]  # fmt: skip


@pytest.mark.parametrize(("control", "right", "wrong"), FLIPS)
def test_controls_flip(control: str, right: str, wrong: str) -> None:
    assert status(control, "app/Dockerfile", right) in ("pass", "not-applicable"), right
    assert status(control, "app/Dockerfile", wrong) == "fail", wrong


@pytest.mark.parametrize(
    ("control", "text", "expected"),
    [
        ("dockerfile-base-version", "ARG BASE\nFROM $BASE\n", "unknown"),
        ("dockerfile-base-version", "ARG BASE\nFROM $BASE\nCOPY --from=b / /\n", "fail"),
        ("dockerfile-base-version", "FROM scratch\n", "not-applicable"),
        ("dockerfile-user", "FROM a\nARG U\nUSER $U\n", "unknown"),
        ("dockerfile-user", "FROM mcr.microsoft.com/dotnet/aspnet:9.0\nUSER $APP_UID\n", "pass"),
        ("dockerfile-user", "FROM a\nNOTHING x\n", "unknown"),
        ("dockerfile-verified", "FROM a\nRUN " + "x" * 70_000, "unknown"),
        ("dockerfile-secrets", "FROM a\nRUN <<E\nno end\n", "unknown"),
    ],
)
def test_what_cannot_be_told_is_unknown(control: str, text: str, expected: str) -> None:
    assert status(control, "Dockerfile", text) == expected


@pytest.mark.parametrize(
    ("name", "found"),
    [("Dockerfile", True), ("w.Dockerfile", True), ("Dockerfile-x", True),
     ("Containerfile", True), ("Dockerfile.j2", False), ("Dockerfile.dockerignore", False)],
)  # fmt: skip
def test_which_files_are_dockerfiles(name: str, found: bool) -> None:
    verdict = judged("dockerfile-base-version", {name: "FROM a\n"})
    assert (str(verdict.status) == "fail") == found


def test_the_site_says_what_is_no_secret_and_what_is_trusted() -> None:
    files = {"Dockerfile": "FROM mallory/a:1\nARG NPM_TOKEN\n"}
    plain = Policy(build_directories=(ROOT,), plain_variables=("NPM_TOKEN",))
    assert str(judged("dockerfile-secrets", files, policy=plain).status) == "pass"
    assert str(judged("dockerfile-base-origin", files, policy=plain).status) == "manual"


def test_a_dockerfile_may_stand_in_a_compose_file() -> None:
    text = "services:\n  a:\n    build:\n      dockerfile_inline: |\n        FROM debian\n"
    verdict = judged("dockerfile-base-version", {"compose.yaml": text})
    assert [each.object.name for each in verdict.findings] == [f"{ROOT}/compose.yaml#a"]
    assert str(verdict.status) == "fail"


def test_of_a_folder_that_was_not_seen_whole_nothing_is_said() -> None:
    files = {"Dockerfile": "FROM a\nCOPY . /app\n", ".dockerignore": ".git\n.env\n"}
    whole = told(files)
    for reply in ((0, whole, f"find: '{ROOT}/certs': Permission denied\n"), whole[:-10]):
        verdict = judge(all_controls()["build.build-context"], host_of(reply), Site("h", POLICY))
        assert str(verdict.status) == "unknown"


CONTEXT = "FROM a\nCOPY . /app\n"


@pytest.mark.parametrize(
    ("files", "listed", "expected"),
    [
        ({"Dockerfile": CONTEXT}, (), "fail"),
        ({"Dockerfile": "FROM a\nCOPY src /app\n"}, (), "not-applicable"),
        ({"Dockerfile": CONTEXT, ".dockerignore": ".git\n.env\n"}, (), "pass"),
        ({"Dockerfile": CONTEXT, ".dockerignore": "# x\n*\n!src\n"}, ("id_rsa",), "pass"),
        ({"Dockerfile": CONTEXT, ".dockerignore": "*\n!.env\n"}, (), "fail"),
        ({"Dockerfile": CONTEXT, ".dockerignore": ".git\n.env\n"}, ("certs/web.key",), "fail"),
        ({"Dockerfile": CONTEXT, ".dockerignore": ".git\n.env*\n**/*.key\n"}, ("c/w.key",), "pass"),
        ({"Dockerfile": CONTEXT, ".dockerignore": ".git\n.env*\n*.key\n"}, ("c/w.key",), "fail"),
        ({"Dockerfile": CONTEXT, ".dockerignore": ".git\n.env\n"}, (".env.example",), "pass"),
        ({"Dockerfile": CONTEXT, ".dockerignore": "*\n",
          "Dockerfile.dockerignore": "node_modules\n"}, (), "fail"),
        ({"docker/Dockerfile": CONTEXT, ".dockerignore": ".git\n.env\n"}, (), "pass"),
        ({"Dockerfile": "FROM a AS b\nCOPY . .\nFROM a\nCOPY --from=b /x /x\n"}, (), "pass"),
        ({"Dockerfile": "FROM a AS b\nCOPY . .\nFROM a\nCOPY --from=b /x /x\n"}, (".env",), "fail"),
        ({"Dockerfile": "FROM a AS b\nADD ./ /x\nFROM b\n"}, (), "fail"),
        ({"Containerfile": CONTEXT, ".containerignore": ".git\n.env\n"}, (), "pass"),
        ({"Dockerfile": CONTEXT, ".containerignore": ".git\n.env\n"}, (), "fail"),
    ],
)  # fmt: skip
def test_what_goes_into_an_image(
    files: dict[str, str], listed: tuple[str, ...], expected: str
) -> None:
    assert str(judged("build-context", files, listed, POLICY).status) == expected


@pytest.mark.parametrize(
    ("rules", "path", "out"),
    [
        ("foo", "foo/bar", True), ("foo", "a/foo", False), ("**/foo", "a/b/foo/c", True),
        ("*.md\n!README.md", "README.md", False), ("!README.md\n*.md", "README.md", True),
        ("/a/", "a/b", True), ("a/*\n!a/b", "a/b/c", False), ("a?c", "abc", True),
        ("[a-c]x", "bx", True), ("\\!x", "!x", True), ("#x", "#x", False), ("[", "a", False),
        ("a/**/b", "a/b", True), ("./a", "a", True), ("**", "x/y", True), ("", "", False),
    ],
)  # fmt: skip
def test_patterns_of_dockerignore(rules: str, path: str, out: bool) -> None:
    assert parse_ignore(rules).excludes(path) == out
