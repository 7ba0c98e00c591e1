"""CRI-O: its settings from files, environment and flags, and the controls of them."""

from __future__ import annotations

import json

import pytest

from checks.engine import test_cri, test_crio, test_daemon, test_defaults, test_remotes
from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts import get
from hullcheck.inventory.policy import Policy
from hullcheck.transport import read
from tests.unit.runtime_fake import PID, daemon_host, status

FILE = "/etc/crio/crio.conf"
FOLDER = "/etc/crio/crio.conf.d"
# The keys and defaults are those of docs/crio.conf.5.md in cri-o/cri-o.
SAMPLE = """
[crio]
log_dir = "/var/log/crio/pods"
[crio.api]
listen = "/var/run/crio/crio.sock"
stream_address = "127.0.0.1"
stream_port = "0"
[crio.runtime]
no_pivot = false
selinux = false
seccomp_profile = ""
seccomp_use_default_when_empty = true
apparmor_profile = "crio-default"
cgroup_manager = "systemd"
default_capabilities = ["CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "SETGID", "SETUID", "SETPCAP",
    "NET_BIND_SERVICE", "KILL"]
pids_limit = -1
[crio.image]
signature_policy = ""
[crio.metrics]
enable_metrics = false
metrics_port = 9090
"""


def with_files(text=SAMPLE, drop_ins=None, flags=(), **more):
    made = {f"{FOLDER}/{name}": each for name, each in (drop_ins or {}).items()}
    return daemon_host(("crio", *flags), {FILE: text, **made}, {FOLDER: sorted(made)}, **more)


NONE = "find: '/etc/crio/policies': No such file or directory\n"


def crio_of(host):
    return get(host, "crio")[0]


def test_no_crio():
    with pytest.raises(NotApplicable, match="no CRI-O runs"):
        get(daemon_host(("sleep",), {}), "crio")


def test_a_published_sample():
    crio = crio_of(with_files())
    assert crio.default_seccomp.value == "default"
    assert crio.apparmor.value
    assert not crio.selinux.value
    assert "CAP_NET_RAW" not in crio.default_capabilities.value
    assert crio.devices.value == ["/dev/fuse", "/dev/net/tun"]
    assert crio.directories[0] == "/var/lib/containers/storage"


def test_drop_ins_count_more_in_their_order_whatever_their_name():
    drop_ins = {
        "10-a.conf": "[crio.runtime]\npids_limit = 100\nselinux = true\n",
        "20-b.toml": "[crio.runtime]\npids_limit = 200\n",
    }
    crio = crio_of(with_files(drop_ins=drop_ins))
    assert (crio.default_pids_limit.value, crio.selinux.value) == (200, True)
    assert crio.default_pids_limit.source == f"{FOLDER}/20-b.toml"


ENVIRONMENT = f"tr '\\0' '\\n' </proc/{PID}/environ | grep -aE '^CONTAINER_[A-Z_]+='"


def test_flags_then_environment_then_files():
    also = {ENVIRONMENT: "CONTAINER_SELINUX=true\nCONTAINER_NO_PIVOT=true\n"}
    crio = crio_of(with_files(flags=("--no-pivot=false", "--pids-limit", "7"), also=also))
    assert crio.selinux.value is True
    assert crio.setting(False, "runtime", "no_pivot").value is False
    assert crio.default_pids_limit.value == 7


def test_an_environment_that_cannot_be_read():
    denied = (2, "", "sh: cannot open /proc/60/environ: Permission denied")
    with pytest.raises(Unknown, match="needs root"):
        _ = crio_of(with_files(also={ENVIRONMENT: denied})).selinux


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SAMPLE, "pass"),
        ("[crio.runtime]\nseccomp_use_default_when_empty = false", "fail"),
        ("", "unknown"),
        ("[crio.runtime]\nseccomp_use_default_when_empty = 1", "unknown"),
    ],
)
def test_seccomp(text, expected):
    assert status(test_daemon.test_seccomp_default, with_files(text)) == expected


@pytest.mark.parametrize(
    ("more", "expected"),
    [("", "pass"), ('"NET_RAW"', "fail"), ('"CAP_SYS_ADMIN"', "fail"), ('"ALL"', "fail")],
)
def test_capabilities(more, expected):
    text = f"[crio.runtime]\ndefault_capabilities = [{more}]"
    assert status(test_defaults.test_default_capabilities, with_files(text)) == expected


def test_the_limit_of_processes_may_be_the_kubelet_s():
    with pytest.raises(NotApplicable, match="kubelet"):
        _ = crio_of(with_files()).default_pids_limit


@pytest.mark.parametrize(
    ("said", "devices", "expected"),
    [
        ("", (), "pass"),
        ('allowed_devices = ["/dev/fuse"]', (), "pass"),
        ('allowed_devices = ["/dev/sda"]', (), "fail"),
        ('additional_devices = ["/dev/sdc:/dev/xvdc:rwm"]', (), "fail"),
        ('additional_devices = ["/dev/kvm"]', ("/dev/kvm",), "pass"),
    ],
)
def test_devices(said, devices, expected):
    host = with_files(f"[crio.runtime]\n{said}\n")
    assert status(test_crio.test_crio_devices, host, Policy(devices=devices)) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [("", "pass"), ("no_pivot = true", "fail"), ('no_pivot = "true"', "unknown")],
)
def test_pivot_root(said, expected):
    host = with_files(f"[crio.runtime]\n{said}\n")
    assert status(test_crio.test_crio_pivot_root, host) == expected


@pytest.mark.parametrize(
    ("text", "tcp", "expected"),
    [
        ("", [("0.0.0.0", 9090)], "not-applicable"),
        ("[crio.metrics]\nenable_metrics = true", [("0.0.0.0", 9090)], "fail"),
        ("[crio.metrics]\nenable_metrics = true", [("127.0.0.1", 9090)], "pass"),
        # What it holds for a pod's host port is no server of its own.
        ("[crio.metrics]\nenable_metrics = true", [("0.0.0.0", 8080)], "pass"),
    ],
)
def test_metrics(text, tcp, expected):
    assert status(test_crio.test_crio_metrics, with_files(text, tcp=tcp)) == expected


@pytest.mark.parametrize(
    ("policy", "own", "expected"),
    [
        ("reject", None, "pass"),
        ("insecureAcceptAnything", None, "fail"),
        ("reject", "reject", "pass"),
        # That of a namespace counts for its pods.
        ("reject", "insecureAcceptAnything", "fail"),
    ],
)
def test_signatures(policy, own, expected):
    path, namespace = "/etc/crio/policy.json", "/etc/crio/policies/web.json"
    text = f'[crio.image]\nsignature_policy = "{path}"'
    found = f"/etc/crio/policies\0{namespace}\0" if own else (1, "", NONE)
    also = {
        read(path).command: json.dumps({"default": [{"type": policy}]}),
        read(namespace).command: json.dumps({"default": [{"type": own}]}),
        "find -H /etc/crio/policies -maxdepth 1 -print0": found,
    }
    assert status(test_defaults.test_signatures, with_files(text, also=also)) == expected


def test_insecure_registries():
    host = with_files('[crio.image]\ninsecure_registries = ["r.example:5000"]')
    assert status(test_remotes.test_insecure_registries, host) == "fail"
    assert status(test_remotes.test_insecure_registries, with_files()) == "pass"


def test_stream_server():
    assert status(test_cri.test_cri_stream_server, with_files()) == "pass"
    host = with_files('[crio.api]\nstream_address = "10.0.0.1"')
    assert status(test_cri.test_cri_stream_server, host) == "fail"
