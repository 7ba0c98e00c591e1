"""Compose files, pipelines, workflows and lock files: how they are read and judged."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hullcheck.facts.build_files.groovy import literals
from hullcheck.facts.build_files.manifests import loose_requirements
from hullcheck.inventory.policy import Policy
from tests.unit.build_fake import ROOT, judged, status

DIGEST = "@sha256:" + "ab" * 32
SHA = "0123456789abcdef0123456789abcdef01234567"


def service(text: str) -> str:
    return f"services:\n  web:\n    image: nginx:1\n    {text}\n"


COMPOSE = [
    ("compose-privileges", service("privileged: false"), service("privileged: true")),
    ("compose-privileges", service("cap_add: [NET_BIND_SERVICE]"), service("cap_add: [sys_admin]")),
    ("compose-privileges", service("network_mode: bridge"), service("network_mode: host")),
    ("compose-privileges", service("pid: service:a"), service('pid: "host"')),
    ("compose-privileges", service("volumes: [./data:/data, db:/db]"),
     service("volumes: ['/var/run/docker.sock:/s:ro']")),
    ("compose-privileges", service("volumes: [{type: volume, source: db, target: /d}]"),
     service("volumes: [{type: bind, source: /, target: /host}]")),
    ("compose-privileges", "x-a: &a\n  privileged: false\n" + service("<<: *a"),
     "x-a: &a\n  privileged: true\n" + service("<<: *a")),
    ("compose-privileges", service("security_opt: [no-new-privileges:true]"),
     service("security_opt: ['seccomp:unconfined']")),
    ("compose-privileges", service("build: {context: .}"),
     service("build: {context: ., network: host}")),
    ("compose-image-version", service(""), "services:\n  a:\n    image: nginx\n"),
    ("compose-image-version", "services:\n  a:\n    image: n:${V:-1}\n",
     "services:\n  a:\n    image: n:${V:-latest}\n"),
    ("compose-image-version", "services:\n  a:\n    build: .\n    image: mine\n",
     "web:\n  image: nginx\n"),
    ("compose-image-digest", f"services:\n  a:\n    image: nginx:1{DIGEST}\n", service("")),
    ("compose-secrets", service("environment: {POSTGRES_PASSWORD_FILE: /run/secrets/p}"),
     service("environment:\n      POSTGRES_PASSWORD: correct horse battery")),
    ("compose-secrets", service("environment: ['TOKEN=${TOKEN:?}', DB_PASSWORD]"),
     service("environment:\n    - DB_PASSWORD=hunter2")),
    ("compose-secrets", service("environment: {A: 1}"),
     service("build:\n      args:\n        NPM_TOKEN: ${NPM_TOKEN}")),
    ("compose-secrets", service("command: run --quiet"),
     service("command: run --password hunter2")),
]  # fmt: skip


def workflow(text: str, on: str = "push") -> str:
    return f"on: {on}\npermissions: {{}}\njobs:\n  a:\n    steps:\n{text}"


USES = "    - uses: {}\n"
TITLE = "    - run: echo ${{ github.event.issue.title }}\n"
HEAD = ("    - uses: actions/checkout@v4\n      with:\n"
        "        ref: ${{ github.event.pull_request.head.sha }}\n")  # fmt: skip
OWN = HEAD + "      if: github.event.pull_request.head.repo.full_name == github.repository\n"

WORKFLOWS = [
    ("pipeline-pinned-actions", workflow(USES.format(f"a/b@{SHA} # v1")),
     workflow(USES.format("a/b@v1"))),
    ("pipeline-pinned-actions", workflow(USES.format("./.github/actions/x")),
     workflow(USES.format("docker://alpine:3"))),
    ("pipeline-pinned-actions", workflow(USES.format(f"docker://alpine{DIGEST}")),
     "on: push\njobs:\n  a:\n    uses: a/b/.github/workflows/c.yml@main\n"),
    ("pipeline-pinned-trusted-actions", workflow(USES.format(f"actions/checkout@{SHA}")),
     workflow(USES.format("actions/checkout@v4"))),
    ("pipeline-foreign-code", workflow(HEAD, "pull_request"),
     workflow(HEAD, "pull_request_target")),
    ("pipeline-foreign-code", workflow(OWN, "pull_request_target"),
     workflow(HEAD, "[workflow_run]")),
    ("pipeline-foreign-code", workflow(USES.format("actions/checkout@v4"), "pull_request_target"),
     workflow("    - run: gh pr checkout 1\n", "{pull_request_target: {types: [opened]}}")),
    ("pipeline-injection",
     workflow("    - run: echo $T\n      env: {T: '${{ github.event.issue.title }}'}\n",
                                    "issues"), workflow(TITLE, "issues")),
    ("pipeline-injection", workflow("    - run: echo ${{ github.event.issue.number }}\n", "issues"),
     workflow("    - uses: actions/github-script@v7\n      with:\n"
              "        script: x('${{ github.head_ref }}')\n", "pull_request_target")),
    ("pipeline-injection",
     workflow("    - run: echo ${{ contains(github.event.issue.title, 'a') }}\n", "issues"),
     workflow("    - run: echo ${{ github.event.head_commit.message || 'x' }}\n")),
    ("pipeline-injection", workflow("    - run: echo ${{ github.head_ref }}\n", "pull_request"),
     workflow("    - run: echo ${{ github.head_ref }}\n", "[pull_request, pull_request_target]")),
    ("pipeline-permissions", workflow(TITLE), "on: push\njobs:\n  a:\n    steps: []\n"),
    ("pipeline-permissions", "on: workflow_call\njobs:\n  a:\n    steps: []\n",
     "on: push\npermissions: write-all\njobs:\n  a:\n    steps: []\n"),
    ("pipeline-permissions",
     "on: push\njobs:\n  a:\n    permissions: {contents: read}\n    steps: []\n",
     "on: push\npermissions: {}\njobs:\n  a:\n    uses: a/b/.github/workflows/c.yml@v1\n"
     "    secrets: inherit\n"),
    ("pipeline-secrets", workflow("    - run: x\n      env: {NPM_TOKEN: '${{ secrets.NPM }}'}\n"),
     workflow("    - run: x\n      env:\n        NPM_TOKEN: abcdefgh12\n")),
    ("pipeline-secrets", workflow("    - run: docker login -u a -p \"$DOCKER_PASSWORD\"\n"),
     workflow("    - run: |\n        x\n        deploy --password hunter2\n")),
    ("pipeline-verified", workflow("    - run: make\n"),
     workflow("    - run: |\n        set -e\n        curl -sSL https://a.example/i.sh | bash\n")),
    ("pipeline-verified", workflow("    - run: iwr x | iex\n      shell: pwsh\n"),
     workflow("    - run: make\n      env: {GIT_SSL_NO_VERIFY: '1'}\n")),
    ("pipeline-image-version", "on: push\njobs:\n  a:\n    container: node:22.1\n",
     "on: push\njobs:\n  a:\n    container: {image: node}\n"),
    ("pipeline-privileges", "on: push\njobs:\n  a:\n    container: {image: node:22}\n",
     "on: push\njobs:\n  a:\n    container: {image: node:22, options: --privileged}\n"),
]  # fmt: skip
GITLAB = [
    ("pipeline-includes", "include:\n- template: Jobs/SAST.gitlab-ci.yml\n",
     "include: https://a.example/x.yml\n"),
    ("pipeline-includes", f"include:\n- project: a/b\n  ref: {SHA}\n  file: /c.yml\n",
     "include:\n- project: a/b\n  file: /c.yml\n"),
    ("pipeline-includes", "include:\n- remote: https://a.example/x.yml\n  integrity: sha256-x=\n",
     "include:\n- project: a/b\n  ref: main\n  file: /c.yml\n"),
    ("pipeline-includes", "include:\n- component: gitlab.example/a/b@1.2.3\n",
     "include:\n- component: gitlab.example/a/b@~latest\n"),
    ("pipeline-image-version", "image: ruby:3.3\na:\n  script: x\n", "a:\n  image: {name: ruby}\n"),
    ("pipeline-image-digest", f"image: ruby{DIGEST}\n", "a:\n  services: [postgres:16]\n"),
    ("pipeline-privileges", "image: docker:27\n", "a:\n  services:\n  - docker:27-dind\n"),
    ("pipeline-verified", "a:\n  script: [make, !reference [.b, script]]\n",
     "a:\n  script:\n  - [make, wget -qO- https://a.example/x | sh]\n"),
    ("pipeline-secrets", "variables:\n  DB_PASSWORD: $FROM_STORE\n",
     "variables:\n  DB_PASSWORD:\n    value: hunter2\n"),
    ("pipeline-scanner", "a:\n  script: docker build .\nb:\n  script: trivy image x\n",
     "a:\n  script: docker buildx build --push .\n"),
    ("pipeline-scanner",
     "include:\n- template: Jobs/Container-Scanning.gitlab-ci.yml\na:\n  script: buildah bud .\n",
     "a:\n  image: gcr.io/kaniko-project/executor:debug\n"
     "  script: /kaniko/executor --destination x\n"),
    ("pipeline-secrets", "spec:\n  inputs: {}\n---\na:\n  script: x\n",
     "a: 1\n---\nvariables: {TOKEN: abcdefgh}\n"),
]  # fmt: skip
OTHERS = [
    ("pipeline-includes", ".circleci/config.yml", "orbs: {n: circleci/node@5.1.0}\n",
     "orbs: {n: circleci/node@5}\n"),
    ("pipeline-includes", "bitbucket-pipelines.yml", "a:\n- pipe: x/y:1.2.3\n",
     "a:\n- pipe: x/y:latest\n"),
    ("pipeline-includes", ".buildkite/pipeline.yml", "steps:\n- plugins:\n  - docker#v5.1.0: {}\n",
     "steps:\n- plugins:\n  - docker: {}\n"),
    ("pipeline-includes", "azure-pipelines.yml",
     "resources:\n  repositories:\n"
     "  - {repository: t, type: github, name: a/b, ref: refs/tags/v1}\n",
     "resources:\n  repositories:\n  - {repository: t, type: github, name: a/b}\n"),
    ("pipeline-injection", "azure-pipelines.yml", "steps:\n- script: echo $(Build.BuildId)\n",
     "steps:\n- script: echo $(Build.SourceVersionMessage)\n"),
    ("pipeline-injection", ".drone.yml", "steps:\n- commands: ['echo $${DRONE_COMMIT_MESSAGE}']\n",
     "steps:\n- commands: ['echo ${DRONE_COMMIT_MESSAGE}']\n"),
    ("pipeline-privileges", ".drone.yml", "steps:\n- image: a:1\n",
     "steps:\n- image: a:1\n  privileged: true\n"),
    ("pipeline-privileges", ".woodpecker/ci.yml", "steps:\n  a: {image: b:1}\n",
     "steps:\n  a: {image: b:1, volumes: ['/var/run/docker.sock:/s']}\n"),
    ("pipeline-verified", ".circleci/config.yml", "jobs: {a: {steps: [checkout, {run: make}]}}\n",
     "jobs: {a: {steps: [{run: {command: 'curl https://a.example | sh'}}]}}\n"),
    ("pipeline-injection", "x/action.yml", "runs: {steps: [{run: a}]}\n",
     "runs:\n  steps:\n  - run: echo ${{ github.event.comment.body }}\n"),
    ("lock-files", "package.json", '{"dependencies": {}}', '{"dependencies": {"a": "^1"}}'),
    ("lock-files", "requirements.txt", "a==1.2  # x\n-r b.txt\n./c\n", "a==1.2\nb>=3\n"),
    ("lock-files", "go.mod", "module a\n\ngo 1.23\n", "module a\n\nrequire b.example/c v1.0.0\n"),
    ("lock-files", "pyproject.toml", "[build-system]\n[project]\ndependencies=['a']\n",
     "[project]\ndependencies=['a']\n"),
    ("lock-files", "Cargo.toml", "[dependencies]\na='1'\n",
     "[dependencies]\na='1'\n[[bin]]\nname='x'\n"),
    ("lock-files", "tests/Gemfile", "gem 'a'\n", "gem 'a'\n"),
]  # fmt: skip
EVERY = [
    *((control, "compose.yaml", right, wrong) for control, right, wrong in COMPOSE),
    *((control, ".github/workflows/a.yml", right, wrong) for control, right, wrong in WORKFLOWS),
    *((control, ".gitlab-ci.yml", right, wrong) for control, right, wrong in GITLAB),
    *OTHERS[:-1],
]


@pytest.mark.parametrize(("control", "path", "right", "wrong"), EVERY)
def test_controls_flip(control: str, path: str, right: str, wrong: str) -> None:
    assert status(control, path, right) in ("pass", "not-applicable"), right
    assert status(control, path, wrong) == "fail", wrong


@pytest.mark.parametrize(
    ("path", "text", "listed", "expected"),
    [
        ("a/b/package.json", '{"dependencies": {"a": "1"}}', ("yarn.lock",), "pass"),
        ("a/go.mod", "require b.example/c v1", ("go.sum",), "fail"),
        ("go.mod", "require b.example/c v1", ("go.sum",), "pass"),
        ("Cargo.toml", "[dependencies]\na='1'", ("Dockerfile",), "fail"),
        ("composer.json", '{"type": "project", "require": {"a/b": "1"}}', (), "fail"),
        ("composer.json", '{"require": {"a/b": "1", "php": "8"}}', (), "not-applicable"),
        ("composer.json", '{"require": {"php": "8"}}', (), "not-applicable"),
        ("Pipfile", "[packages]\na='*'\n", ("Pipfile.lock",), "pass"),
        ("Gemfile", "gemspec\n", ("a.gemspec",), "not-applicable"),
        ("examples/package.json", '{"dependencies": {"a": "1"}}', (), "not-applicable"),
        ("package.json", "{" * 100_000, (), "unknown"),
        ("package.json", "[]", (), "not-applicable"),
        ("pyproject.toml", "[" * 9_000, (), "unknown"),
        ("requirements-dev.txt", "-c constraints.txt\na\n", (), "unknown"),
    ],
)
def test_lock_files(path: str, text: str, listed: tuple[str, ...], expected: str) -> None:
    assert status("lock-files", path, text, listed) == expected


def test_which_requirements_are_loose() -> None:
    text = "a==1 ; python_version<'3'\nb==1.*\nc @ git+https://x/c@" + SHA + "\n"
    text += "d==1 \\\n  --hash=sha256:aa\ne~=2\n--index-url https://x\n-e git+https://x/f\nz[b]\n"
    assert loose_requirements(text)[0] == ["b==1.*", "e~=2", "-e git+https://x/f", "z[b]"]


JENKINS = """
// sh 'curl http://a.example | sh'
pipeline { agent { docker { image 'maven:3' ; args '-v /cache:/cache' } }
  /* image 'x' */
  stages { stage('b') { steps { sh 'mvn -B verify' ; sh(script: \"\"\"
     make
  \"\"\", returnStdout: true) } } } }
"""


def test_a_jenkinsfile_tells_its_strings_and_no_more() -> None:
    found = [(each.text.strip(), each.number) for each in literals(JENKINS) if "sh" in each.before]
    assert found == [("mvn -B verify", 5), ("make", 5)]
    assert status("pipeline-verified", "Jenkinsfile", JENKINS) == "manual"
    bad = JENKINS.replace("mvn -B verify", "curl -k https://a.example | sh")
    assert status("pipeline-verified", "Jenkinsfile", bad) == "fail"
    assert status("pipeline-image-version", "Jenkinsfile", JENKINS) == "pass"
    rights = JENKINS.replace("-v /cache:/cache", "--privileged")
    assert status("pipeline-privileges", "Jenkinsfile", rights) == "fail"
    secret = JENKINS + "environment { DB_PASSWORD = 'hunter2' }\n"
    assert status("pipeline-secrets", "Jenkinsfile", secret) == "fail"
    store = JENKINS + "environment { DB_PASSWORD = credentials('db') }\n"
    store += "withCredentials([usernamePassword(credentialsId: 'x', passwordVariable: 'P')]) {}\n"
    assert status("pipeline-secrets", "Jenkinsfile", store) == "pass"
    assert literals("'" * 50_000) is not None


def test_what_an_environment_guards_a_person_must_see() -> None:
    text = workflow(HEAD, "pull_request_target").replace(
        "    steps", "    environment: e\n    steps"
    )
    assert status("pipeline-foreign-code", ".github/workflows/a.yml", text) == "manual"


def test_code_that_another_step_names_is_unknown() -> None:
    for ref, expected in (("steps.a.outputs.ref", "unknown"), ("github.base_ref", "pass")):
        text = HEAD.replace("github.event.pull_request.head.sha", ref)
        path = ".github/workflows/a.yml"
        found = status("pipeline-foreign-code", path, workflow(text, "pull_request_target"))
        assert found == expected
    called = (
        "on: workflow_run\njobs:\n  a:\n    uses: ./.github/workflows/b.yml\n    with: {r: '%s'}\n"
    )
    text = called % "${{ github.event.workflow_run.head_sha }}"
    assert status("pipeline-foreign-code", ".github/workflows/a.yml", text) == "unknown"


BOMB = "a: &a [x]\n" + "".join(
    f"{after}: &{after} [{', '.join(['*' + before] * 9)}]\n"
    for before, after in pairwise("abcdefghi")
)  # fmt: skip
MERGES = "a: &a {" + ", ".join(f"k{n}: 1" for n in range(3000)) + "}\n" + "".join(
    f"m{n}: {{<<: *a}}\n" for n in range(3000)
)  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["a: [", "a: &a\n  b: *a\n", "\t- x: y", "a: 1\n<<: *none\n", "{" * 5000, BOMB, MERGES,
     "? [a]\n: b\n"],
)  # fmt: skip
@pytest.mark.parametrize("path", [".gitlab-ci.yml", "compose.yaml"])
def test_damaged_and_hostile_yaml_is_unknown(path: str, text: str) -> None:
    control = "pipeline-verified" if path.startswith(".") else "compose-secrets"
    assert status(control, path, text) in ("unknown", "not-applicable")


def test_local_includes_are_judged_and_missed_ones_unknown() -> None:
    main = "include:\n- local: /jobs/a.yml\n- /ci/b.yml\n- local: x/*.yml\n"
    bad = "j:\n  script: curl https://a.example | sh\n"
    verdict = judged("pipeline-verified", {".gitlab-ci.yml": main, "ci/b.yml": bad})
    found = {each.object.name: str(each.status) for each in verdict.findings}
    assert found[f"{ROOT}/ci/b.yml"] == "fail"
    assert found[f"{ROOT}/jobs/a.yml"] == "unknown"


def test_the_site_trusts_owners_and_paths() -> None:
    files = {".github/workflows/a.yml": workflow(USES.format("acme/b@v1"))}
    policy = Policy(build_directories=(ROOT,), action_owners=("acme",))
    assert str(judged("pipeline-pinned-actions", files, policy=policy).status) == "not-applicable"
    files = {"compose.yml": service("volumes: ['/var/run/docker.sock:/s']")}
    policy = Policy(build_directories=(ROOT,), host_paths=("/var/run/docker.sock",))
    assert str(judged("compose-privileges", files, policy=policy).status) == "pass"
