"""The controller manager and the scheduler."""

from __future__ import annotations

import pytest

from checks.orchestrator import test_control_plane as checks
from hullcheck.facts import get
from hullcheck.facts.sockets import EVERYWHERE, HOLDERS, MACHINE
from hullcheck.transport.want import FILE_LIMIT
from tests.unit.judged import outcome
from tests.unit.test_kubernetes_components import node

FILE = "/etc/scheduler.yaml"
LOCAL, WIDE = "0100007F", "00000000"


def listens(place, port, pid=70):
    """Return what the kernel says of a process that listens."""
    row = f"  0: {place}:{port:04X} 00000000:0000 0A 0:0 0:0 0 0 0 777 1"
    head = "  sl  local_address"
    unix = f"/proc/{pid}/net/unix:Num RefCount"
    return {
        EVERYWHERE.command: f"ns 4026531833 {pid}\n{unix}\n/proc/{pid}/net/tcp:{head}\n"
        f"/proc/{pid}/net/tcp:{row}\n",
        HOLDERS.command: f"{pid} 777\n",
        MACHINE.command: "x86_64\n",
    }


def file_of(path, text):
    """Return what is answered for a file, or for one that cannot be read."""
    command = f"head -c {FILE_LIMIT} -- {path} && printf '\\n= end\\n'"
    return {command: text if isinstance(text, tuple) else f"{text}\n= end\n"}


def manager(*flags, **more):
    host = node(("/usr/bin/kube-controller-manager", ("kube-controller-manager", *flags), {}),
                **more)  # fmt: skip
    return get(host, "controller_manager")[0]


def scheduler(*flags, text=None, **more):
    answers = more if text is None else more | file_of(FILE, text)
    host = node(("/usr/bin/kube-scheduler", ("kube-scheduler", *flags), {}), **answers)
    return get(host, "scheduler")[0]


@pytest.mark.parametrize(
    ("control", "flags", "status"),
    [
        (checks.test_controller_manager_profiling, (), "fail"),
        (checks.test_controller_manager_profiling, ("--profiling=false",), "pass"),
        (checks.test_controller_manager_profiling, ("--profiling=false", "--profiling"), "fail"),
        (checks.test_controller_manager_profiling, ("--profiling=nein",), "unknown"),
        (checks.test_controller_credentials, (), "fail"),
        (checks.test_controller_credentials, ("--use-service-account-credentials",), "pass"),
        (checks.test_controller_credentials, ("--use_service_account_credentials=1",), "pass"),
        (checks.test_ended_pods_limit, (), "pass"),  # 12500; kube-bench 1.3.1 fails it
        (checks.test_ended_pods_limit, ("--terminated-pod-gc-threshold=10",), "pass"),
        (checks.test_ended_pods_limit, ("--terminated-pod-gc-threshold=-1",), "fail"),
        (checks.test_ended_pods_limit, ("--terminated-pod-gc-threshold=x",), "unknown"),
        (checks.test_serving_certificate_rotation, (), "pass"),
        (checks.test_serving_certificate_rotation, ("--feature-gates=A=true,AllBeta=0",), "fail"),
        (checks.test_serving_certificate_rotation,
         ("--feature-gates=AllBeta=false", "--feature-gates=RotateKubeletServerCertificate=true"),
         "pass"),
        (checks.test_serving_certificate_rotation,
         ("--feature-gates=RotateKubeletServerCertificate=false",), "fail"),
        (checks.test_controller_manager_open_paths, (), "pass"),
        (checks.test_controller_manager_open_paths,
         ("--authorization-always-allow-paths=/healthz,/metrics",), "fail"),
    ],
)  # fmt: skip
def test_controller_manager(control, flags, status):
    assert outcome(control, manager(*flags)) == status


@pytest.mark.parametrize(
    ("flags", "text", "status"),
    [
        ((), None, "fail"),
        (("--profiling=false",), None, "pass"),
        # The flag is ignored beside a file: kube-bench 1.4.1 passes this.
        (("--profiling=false", f"--config={FILE}"), "kind: KubeSchedulerConfiguration\n", "fail"),
        ((f"--config={FILE}",), "enableProfiling: false\n", "pass"),
        ((f"--config={FILE}", "--profiling=true"), "enableProfiling: false\n", "pass"),
        ((f"--config={FILE}",), "enableProfiling: [\n", "unknown"),
        ((f"--config={FILE}",), (0, "enableProfiling: false\n"), "unknown"),  # cut
        ((f"--config={FILE}",), (1, "", "head: x: Permission denied\n"), "unknown"),
        ((f"--config={FILE}",), (1, "", "head: x: No such file or directory\n"), "unknown"),
    ],
)  # fmt: skip
def test_scheduler_profiling(flags, text, status):
    assert outcome(checks.test_scheduler_profiling, scheduler(*flags, text=text)) == status


@pytest.mark.parametrize(
    ("flags", "place", "port", "status"),
    [
        (("--bind-address=127.0.0.1",), LOCAL, 10257, "pass"),
        (("--bind-address=::1",), LOCAL, 10257, "pass"),
        ((), LOCAL, 10257, "fail"),  # it says all addresses
        (("--bind-address=127.0.0.1",), WIDE, 10257, "fail"),  # the kernel says otherwise
        (("--bind-address=127.0.0.1",), WIDE, 10252, "fail"),  # the old port without TLS
        (("--bind-address=127.0.0.1", "--secure-port=1257"), LOCAL, 1257, "pass"),
        (("--secure-port=0",), LOCAL, 1, "pass"),
        (("--bind-address=node",), LOCAL, 1, "unknown"),
    ],
)  # fmt: skip
def test_addresses(flags, place, port, status):
    found = manager(*flags, **listens(place, port))
    assert outcome(checks.test_controller_manager_address, found) == status
    found = scheduler(*flags, **listens(place, port))
    assert outcome(checks.test_scheduler_address, found) == status


def test_sockets_that_cannot_be_seen():
    told = listens(LOCAL, 10257) | {HOLDERS.command: "70 denied\n"}
    assert outcome(checks.test_controller_manager_address,
                   manager("--bind-address=127.0.0.1", **told)) == "pass"  # fmt: skip
    told = listens(WIDE, 10257) | {HOLDERS.command: "70 denied\n"}
    assert outcome(checks.test_controller_manager_address,
                   manager("--bind-address=127.0.0.1", **told)) == "unknown"  # fmt: skip
    told = {EVERYWHERE.command: "ns denied 70\n", HOLDERS.command: "", MACHINE.command: "x86_64\n"}
    assert outcome(checks.test_controller_manager_address,
                   manager("--bind-address=127.0.0.1", **told)) == "unknown"  # fmt: skip
