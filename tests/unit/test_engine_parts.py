"""Which programs and files an engine is made of, as the audit controls see them."""

from __future__ import annotations

from pathlib import Path

import pytest

from checks.host import test_audit_rules as checks
from hullcheck import facts
from hullcheck.control import control_of
from hullcheck.facts import engine_parts
from hullcheck.facts.engine_parts import EngineContainerd
from hullcheck.judge import Site, judge
from hullcheck.transport import Session, host_of
from hullcheck.verdict import Verdict
from tests.unit.audit_fake import Mixed, answers
from tests.unit.docker_fake import SOCKET, Daemon, Program, docker_answers, dockerd

SHIM = "containerd-shim-runc-v2"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file system with containerd, a shim and a link to it, and the directory of its socket."""
    root = tmp_path.resolve()
    for name in ("bin", "sbin", "opt", "run", "etc"):
        (root / name).mkdir()
    for name in ("bin/containerd", f"bin/{SHIM}", "run/c.sock", "etc/c.toml"):
        (root / name).touch()
    (root / "sbin" / SHIM).symlink_to(f"../bin/{SHIM}")
    monkeypatch.setattr(engine_parts, "PLACES", (f"{root}/sbin", f"{root}/bin"))
    monkeypatch.setattr(engine_parts, "STATE", f"{root}/run/containerd")
    monkeypatch.setattr(engine_parts, "CONFIG", f"{root}/etc/config.toml")
    return root


def session(
    root: Path, *rules: str, words: tuple[str, ...] | None = (), where: str = "bin"
) -> Session:
    """Return a host with an engine; ``words`` is containerd's command line, None: it is down."""
    exe = f"{root}/{where}/containerd"
    socket = f"{root}/run/c.sock"
    argv = ("containerd", *(words or ()))
    programs = [dockerd(f"--containerd={socket}")]
    if words is not None:
        programs.append(Program(60, exe, argv, (socket,)))
    listed = "".join(f"{rule}\n".replace("@", str(root)) for rule in rules)
    made = {
        **docker_answers(programs, {f"unix://{SOCKET}": Daemon()}),
        **answers(rules=listed or "No rules\n"),
        "readlink -nv /proc/60/exe": exe,
        "head -c 1048577 -- /proc/60/cmdline": "".join(f"{each}\0" for each in argv),
    }
    return Session(Mixed(made))


def item(check: str, root: Path, *rules: str, **more: object) -> Verdict:
    control = control_of(getattr(checks, f"test_audit_{check}"))
    assert control
    made = session(root, *rules, **more)  # type: ignore[arg-type]
    return judge(control, host_of(made, "fake", "fake"), Site("h"))


def containerd(root: Path, **more: object) -> EngineContainerd:
    made = session(root, **more)  # type: ignore[arg-type]
    found: list[EngineContainerd] = facts.get(host_of(made, "fake", "fake"), "engine_containerd")
    return found[0]


def test_a_rule_for_one_shim_is_none_for_another(root: Path) -> None:
    (root / "bin" / "containerd-shim").touch()
    rule = f"-w @/bin/{SHIM} -p rwxa -k docker"
    assert item("containerd_shim_runc_v2", root, rule).status == "pass"
    assert item("containerd_shim", root, rule).status == "fail"
    assert item("containerd_program", root, rule).status == "fail"


def test_a_shim_that_newer_containerd_no_longer_has_is_not_asked_for(root: Path) -> None:
    for check in ("containerd_shim", "containerd_shim_runc_v1"):
        verdict = item(check, root)
        assert verdict.status == "not-applicable"
        assert "is not installed" in verdict.reason


def test_every_copy_of_a_shim_counts_and_each_once(root: Path) -> None:
    assert [file.resolved for file in containerd(root).named(SHIM)] == [f"{root}/bin/{SHIM}"]
    (root / "opt" / "containerd").touch()
    (root / "opt" / SHIM).touch()
    found = containerd(root, where="opt").named(SHIM)
    assert [file.resolved for file in found] == [f"{root}/opt/{SHIM}", f"{root}/bin/{SHIM}"]
    rule = f"-w @/bin/{SHIM} -p rwxa"
    assert item("containerd_shim_runc_v2", root, rule, where="opt").status == "fail"


def test_the_directory_of_the_socket_in_use_counts(root: Path) -> None:
    assert item("run_containerd", root, "-w @/run -p wa").status == "pass"
    usual = item("run_containerd", root, "-w /run/containerd -p wa")
    assert (usual.status, f"audit of {root}/run" in usual.reason) == ("fail", True)
    (root / "run/c.sock").unlink()
    (root / "run").rmdir()
    assert item("run_containerd", root).status == "not-applicable"


def test_the_configuration_is_where_the_command_line_says(root: Path) -> None:
    named = {"words": ("--config", f"{root}/etc/c.toml")}
    assert item("containerd_config", root, "-w @/etc/c.toml -p wa", **named).status == "pass"
    assert item("containerd_config", root, "-w @/etc/config.toml -p wa", **named).status == "fail"
    assert item("containerd_config", root).status == "not-applicable"
    assert item("containerd_config", root, words=("-c=c.toml",)).status == "unknown"


def test_a_containerd_that_is_down_is_looked_for_where_it_is_installed(root: Path) -> None:
    down = containerd(root, words=None)
    assert down.process is None
    assert [file.path for file in down.programs] == [f"{root}/bin/containerd"]
    (root / "bin/containerd").unlink()
    assert item("containerd_program", root, words=None).status == "not-applicable"


def test_a_program_that_was_replaced_while_it_ran_is_the_new_file() -> None:
    assert engine_parts._existing("/usr/bin/dockerd (deleted)") == "/usr/bin/dockerd"


def test_options_are_read_in_every_spelling() -> None:
    names = ("--config", "-c")
    assert engine_parts._option(["--config=/a"], names) == "/a"
    assert engine_parts._option(["-c", "/a", "--config", "/b"], names) == "/b"
    assert engine_parts._option(["--config-x", "/a"], names) == ""
    assert engine_parts._option([], names) == ""
