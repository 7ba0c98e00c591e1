from __future__ import annotations

import time

import pytest

from checks.build import test_image_recipes as controls
from tests.unit.image_fake import described, image_host, one, step

ROOT = "ADD alpine-minirootfs-3.22.1-x86_64.tar.gz / # buildkit"
RUN = "RUN /bin/sh -c {} # buildkit"


def judged(control, *steps):
    host = image_host([described("app")], histories={"app": list(steps)})
    return one(control, host)[0]


def written(script):
    """Every way in which builders write a RUN down."""
    return [
        f"RUN /bin/sh -c {script} # buildkit",
        f"RUN |2 VERSION=1.2 WHERE=a b /bin/sh -c {script} # buildkit",
        f"RUN /bin/bash -o pipefail -c {script} # buildkit",
        f"RUN bash -euxo pipefail -c {script}",
        f"RUN /bin/bash --login -o errexit -x -c {script} # buildkit",
        f"/bin/sh -c {script}",
        f"|1 VERSION=1.2 /bin/sh -c {script}",
    ]


# 4.7: a package index alone.


@pytest.mark.parametrize(
    "script",
    [
        "apt-get update",
        "apt-get -qq update",
        "apt update && rm -rf /var/cache/apt",
        "set -ex;  apt-get update || true",
        "DEBIAN_FRONTEND=noninteractive sudo apt-get -o Acquire::Retries=3 update",
        "echo deb http://x y z >/etc/apt/sources.list && apt-get update",
        "curl -fsSL https://x | gpg --dearmor -o /k && apt-get update",
        "apk update",
        "dnf -y makecache",
        "zypper --non-interactive refresh",
        "pacman -Sy",
        "bash -c 'apt-get update'",
        "echo install && apt-get update",
        "apt-get update && apt-get clean",
    ],
)
def test_an_index_alone_is_found_in_every_spelling(script):
    for each in written(script):
        assert judged(controls.test_package_index, ROOT, each) == "fail", each


@pytest.mark.parametrize(
    "script",
    [
        "apt-get update && apt-get install -y x && rm -rf /var/lib/apt/lists/*",
        "apt-get update; apt-get -y upgrade",
        "yum update -y",
        "apk add --update x",
        "apk --no-cache add x",
        "apt-get update && ./install.sh",
        "pacman -Syu --noconfirm",
        "pacman -Sy --noconfirm curl",
        "echo apt-get update",
        "echo 'apt-get update' >/etc/motd",
        "npm update",
        "git submodule update",
        "# apt-get update",
        "export UPDATE=1",
        "sh <<E\napt-get update\napt-get install x\nE\n",
        "set -e\napt-get update\napt-get install -y x\n",
    ],
)
def test_an_index_that_is_used_or_none_is_not(script):
    for each in written(script):
        assert judged(controls.test_package_index, ROOT, each) == "pass", each


def test_one_of_many_steps_is_enough_and_none_is_dropped():
    steps = ["RUN /bin/sh -c apt-get update", RUN.format("true"), "CMD []"]
    assert judged(controls.test_package_index, *steps) == "fail"
    assert judged(controls.test_package_index, *reversed(steps)) == "fail"


def test_exec_form_without_a_shell_is_read_too():
    assert judged(controls.test_package_index, "RUN apt-get update # buildkit") == "fail"
    assert judged(controls.test_package_index, "apt-get update") == "fail"


def test_a_root_file_system_has_no_steps_that_could_bring_an_index():
    for steps in (
        [ROOT, 'CMD ["/bin/sh"]'],
        [step("", 5, "Imported from -")],
        ["# debian.sh --arch 'amd64' out/ 'trixie' '@1760918400'", 'CMD ["bash"]'],
    ):
        assert judged(controls.test_package_index, *steps) == "not-applicable"


def test_a_script_nobody_can_read_is_unknown():
    deep = "$(" * 20 + "x" + ")" * 20
    assert judged(controls.test_package_index, RUN.format(f"echo {deep}")) == "unknown"
    assert judged(controls.test_verified_packages, RUN.format(f"echo {deep}")) == "unknown"


# 4.9: ADD.


@pytest.mark.parametrize(
    "root",
    [
        ROOT,
        "ADD rootfs.tar.xz / # buildkit",
        "/bin/sh -c #(nop) ADD file:5758b97d8301c84a204a6e516241275d785a7cade40b2fb99f01fe1 in / ",
        "ADD rootfs.tar /",
    ],
)
def test_the_root_file_system_of_a_base_may_be_added(root):
    before = ["/bin/sh -c #(nop)  ARG RELEASE", "/bin/sh -c #(nop)  LABEL a=b"]
    assert judged(controls.test_add_instruction, *before, root, "COPY x /y") == "pass"


@pytest.mark.parametrize(
    "add",
    [
        "/bin/sh -c #(nop) ADD file:779074ae505e3ec3df507f85fdd4e5e6d5a4ea3c in /opt/x ",
        "/bin/sh -c #(nop) ADD dir:779074ae505e3ec3df507f85fdd4e5e6d5a4ea3c in / ",
        "/bin/sh -c #(nop) ADD multi:779074ae505e3ec3df507f85fdd4e5e6d5a4ea3c in /opt/ ",
        "ADD app.py /opt/ # buildkit",
        "ADD --chown=app:app . /opt # buildkit",
        "ADD https://example.com/tool.tar.gz / # buildkit",
        "ADD https://github.com/acme/app.git#main /src # buildkit",
        "ADD a.tar.gz b.py /opt/ # buildkit",
        'ADD ["a b", "/opt/"]',
    ],
)
def test_what_copy_would_do_is_not_added(add):
    assert judged(controls.test_add_instruction, ROOT, add) == "fail"


def test_a_first_step_that_is_no_root_file_system_is_judged_too():
    for add in (
        "ADD https://example.com/rootfs.tar / # buildkit",
        "ADD app.py / # buildkit",
        "/bin/sh -c #(nop) ADD file:779074ae in /opt/ ",
        "/bin/sh -c #(nop) ADD dir:779074ae in / ",
    ):
        assert judged(controls.test_add_instruction, add, "CMD []") == "fail", add


def test_archives_and_pinned_sources_are_what_add_is_for():
    commit = "a" * 40
    for add in ("ADD app.tar.gz /opt/", "ADD x.tgz y.tar.xz /", f"ADD git@h:a/b.git#{commit} /s"):
        assert judged(controls.test_add_instruction, ROOT, f"{add} # buildkit") == "pass", add


def test_words_that_only_look_like_add_are_none():
    for other in (
        "ENV ADDR=10.0.0.1",
        "/bin/sh -c #(nop)  ENV ADD=1",
        RUN.format("apk add x && echo ADD file"),
        "COPY ADD /opt/",
        "LABEL a=ADD",
    ):
        assert judged(controls.test_add_instruction, ROOT, other) == "pass", other


def test_without_a_recipe_there_is_no_add():
    imported = step("", 5, "Imported from -")
    assert judged(controls.test_add_instruction, imported) == "not-applicable"


# 4.11: packages that nobody has verified.


@pytest.mark.parametrize(
    "script",
    [
        "apt-get update && apt-get install -y --allow-unauthenticated x",
        "apt-get --force-yes install x",
        "apt-get -oAPT::Get::AllowUnauthenticated=true install x",
        "apt-get -o Acquire::AllowInsecureRepositories=1 update && apt-get install x",
        "yum install -y --nogpgcheck x",
        "dnf --setopt=*.gpgcheck=0 install x",
        "rpm -i --nosignature x.rpm",
        "zypper --no-gpg-checks in x",
        "apk add --allow-untrusted /x.apk",
        "pip3 install --trusted-host pypi.example x",
        "pip install --trusted-host=pypi.example x",
        "pip install --index-url http://pypi.example/simple x",
        "npm config set strict-ssl false",
        "npm install --strict-ssl=false",
        "git config --global http.sslVerify false && git clone https://x",
        "git -c http.sslVerify=false clone https://x",
        "GIT_SSL_NO_VERIFY=1 git clone https://x",
        "export NODE_TLS_REJECT_UNAUTHORIZED=0; npm ci",
        "curl -k https://x -o /bin/x",
        "curl -fsSLk https://x -o /bin/x",
        "curl --insecure https://x -o /bin/x",
        "wget --no-check-certificate https://x",
        "curl http://x.example/tool -o /bin/tool",
        "wget -q http://x.example/tool",
        "curl -fsSL https://x | sh",
        "curl -fsSL https://x | sudo -E bash -",
        "wget -qO- https://x | tee /log | bash -s -- --yes",
        "curl https://x | python3 -",
        "(curl https://x) | sh",
        'bash -c "$(curl -fsSL https://x)"',
        "bash <(curl -s https://x)",
        "eval `wget -qO- https://x`",
        "curl -fsSL https://x/install.sh -o /tmp/i.sh && sh /tmp/i.sh",
        "curl -fsSLO https://x/setup && chmod +x setup && ./setup --yes",
        "wget -q https://x/y/app_1.2.deb && dpkg -i app_1.2.deb",
        "wget -qO /tmp/a.deb https://x && apt-get install -y /tmp/a.deb",
        "wget https://x/a.deb?v=1 && dpkg -i *.deb",
        "curl https://x >i.py; python3 i.py",
        "if true; then curl -sSf https://sh.example | sh -s -- -y; fi",
        "echo 'deb [arch=amd64 trusted=yes] http://x y z' >/etc/apt/sources.list.d/x.list",
        "printf '[x]\\nbaseurl=http://x\\ngpgcheck=0\\n' >/etc/yum.repos.d/x.repo",
        "cat <<E >/etc/yum.repos.d/x.repo\n[x]\ngpgcheck = 0\nE\n",
        "sed -i s/gpgcheck=1/gpgcheck=0/ /etc/yum.conf",
        "echo 'APT::Get::AllowUnauthenticated \"true\";' >/etc/apt/apt.conf.d/99x",
    ],
)
def test_what_is_installed_or_run_unverified_is_found(script):
    for each in written(script):
        assert judged(controls.test_verified_packages, ROOT, each) == "fail", each


@pytest.mark.parametrize(
    "script",
    [
        "apt-get update && apt-get install -y x",
        "apt-get install --allow-unauthenticated=no x",
        "echo --allow-unauthenticated",
        "apt-get install -y insecure-tool allow-untrusted",
        "curl -fsSL https://x -o /x && echo 'abc  /x' | sha256sum -c -",
        "wget -q http://x/t.gz && echo 'abc  t.gz' | sha256sum --check && tar xzf t.gz",
        "curl -k https://x -o t && gpg --verify t.asc t",
        "curl -fsSL https://x/i.sh -o i.sh && echo 'ab  i.sh' | sha256sum -c && sh i.sh",
        "curl -fsSL https://x/data.json -o data.json && sh ./build.sh data",
        "wget https://x/y.tar.gz && tar xzf y.tar.gz && ./configure",
        "curl -fsSL https://x/data.json -o data.json && python3 build.py data.json",
        "dpkg -i local.deb",
        "curl -fsSL https://x | gpg --dearmor -o /usr/share/keyrings/x.gpg",
        "curl -s https://x | python3 -c 'import json,sys; json.load(sys.stdin)'",
        "curl -s https://x | jq .k",
        "curl -o k https://x",
        "curl -Hk:v -okey https://x",
        "curl http://localhost/health",
        "grep gpgcheck=0 /etc/yum.conf",
        "echo gpgcheck=1 repo_gpgcheck=0 >/etc/yum.repos.d/x.repo",
        "yum install -y x",
        "echo 'curl -k x | sh' >/README",
        "pip install x --index-url https://pypi.example/simple",
        "sh ./install.sh < /dev/null",
    ],
)
def test_what_is_verified_or_only_written_is_not(script):
    for each in written(script):
        assert judged(controls.test_verified_packages, ROOT, each) == "pass", each


def test_variables_of_the_image_and_plain_downloads_count():
    assert judged(controls.test_verified_packages, "ENV GIT_SSL_NO_VERIFY=true") == "fail"
    assert judged(controls.test_verified_packages, "ENV NODE_TLS_REJECT_UNAUTHORIZED 0") == "fail"
    nop = "/bin/sh -c #(nop)  ENV PIP_TRUSTED_HOST=x"
    assert judged(controls.test_verified_packages, nop) == "fail"
    assert judged(controls.test_verified_packages, "ADD http://x/y /z # buildkit") == "fail"
    harmless = ["ENV GIT_SSL_NO_VERIFY=", RUN.format("true")]
    assert judged(controls.test_verified_packages, *harmless) == "pass"


def test_an_image_without_commands_tells_nothing_of_packages():
    assert judged(controls.test_verified_packages, ROOT, "CMD []") == "not-applicable"


def test_evidence_names_the_step_and_stays_short():
    host = image_host([described("app")], histories={"app": [RUN.format("apt-get update " * 50)]})
    _, reason = one(controls.test_package_index, host)
    assert len(reason) < 200


@pytest.mark.parametrize(
    "hostile",
    [
        " " * 200_000,
        "RUN " + "sh -o a " * 8000,
        "RUN /bin/sh -c " + "deb [" * 13_000,
        "RUN /bin/sh -c " + "\\n" * 30_000,
        "RUN /bin/sh -c echo '" + "\n" * 60_000 + "'",
        "RUN |1 A=" + "/" * 60_000,
        "ADD " + "a#" * 30_000 + " /",
    ],
)
def test_a_hostile_history_costs_little(hostile):
    clock = time.process_time()
    for control in (controls.test_verified_packages, controls.test_add_instruction):
        judged(control, ROOT, hostile)
    assert time.process_time() - clock < 5
