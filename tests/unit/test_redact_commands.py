"""Secrets that stand on a command line, as histories of images keep them."""

from __future__ import annotations

import json
import time

import pytest

from hullcheck.transport.redact import PLACEHOLDER, Redactor

redactor = Redactor(b"salt")
SECRET = "hunter2xyz"


@pytest.mark.parametrize("command", [
    "RUN curl -u admin:{} https://x/y", 'curl -fsSLu "admin:{}" x', "curl x -o y --user admin:{}",
    "curl --proxy-user=admin:{} x", "curl -U admin:{} x", "docker login -u x -p {} reg.example",
    "skopeo login -p '{}' x", "sshpass -p {} ssh x", "echo 'root:{}' | chpasswd",
    "printf root:{} | sudo chpasswd -e", "echo -n \"app:{}\"|chpasswd",
])  # fmt: skip
def test_a_secret_of_a_command_is_cut_out(command):
    for text in (command.format(SECRET), json.dumps({"created_by": command.format(SECRET)})):
        clean = redactor.clean(text.encode())
        assert SECRET.encode() not in clean
        assert len(PLACEHOLDER.findall(clean)) == 1
        assert redactor.clean(clean) == clean
    json.loads(clean)


@pytest.mark.parametrize("text", [
    "ExecStart=/usr/local/bin/k3s server '--token' '{}' '--debug'",
    "k3s \\\n    server \\\n\t'--agent-token' \\\n\t'{}' \\\n\n",
    "/x/k3s.service:\t'--token' \\\n/x/k3s.service:\t'{}' \\\n/x/k3s.service:",
    'server "--token" "{}"',
])  # fmt: skip
def test_a_flag_and_its_value_may_be_quoted_each(text):
    """As the installer of k3s writes its unit, read by grep or not."""
    clean = redactor.clean(text.format(SECRET).encode())
    assert SECRET.encode() not in clean
    assert len(PLACEHOLDER.findall(clean)) == 1
    assert redactor.clean(clean) == clean
    for plain in ("'--token' '--debug'", "'token' 'name'", "'--token-file' '/x'"):
        assert redactor.clean(plain.encode()).decode() == plain


@pytest.mark.parametrize("command", [
    "curl -u $USER:$PASS x", "curl -u admin:${PW} x", "curl -o /dev/null https://a:443/",
    "curl -u: x",
    "docker login --password-stdin -u a", "docker login -p $PW x", "ssh x login -p 22",
    "loginctl enable -p x", "sshpass -e ssh x", "echo root:$PW | chpasswd", "echo a:b | tee x",
    "tar -u admin:x", "useradd -u admin:x", "mkdir -p /x/login && docker run -p 80:80 x",
])  # fmt: skip
def test_what_is_none_stays(command):
    assert redactor.clean(command.encode()).decode() == command


def test_a_line_of_json_after_the_name_of_its_file_is_json():
    """A quote that a value begins with ends where its string does."""
    line = json.dumps({"Env": ["TOKEN='abc", "B=it's", "C='x'"]})
    clean = redactor.clean(f"/var/lib/x/=c2hh:{line}".encode()).decode()
    assert json.loads(clean.partition(":")[2])["Env"][1:] == ["B=it's", "C='x'"]


@pytest.mark.parametrize("piece", [
    b"curl ", b"curl -u a:", b" login -p ", b"echo a:b", b" -u a:b", b"/a", b"curl -", b" -p x",
    b"'--token' ", b"'--token' \\\n/x:",
])  # fmt: skip
def test_time_is_linear(piece):
    text = piece * (400_000 // len(piece)) + b" chpasswd sshpass curl"
    began = time.process_time()
    redactor.clean(text)
    assert time.process_time() - began < 3
