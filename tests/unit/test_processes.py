"""The sweeps over /proc: odd names, vanishing processes, denied and damaged files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck import facts
from hullcheck.control import Unknown
from hullcheck.facts.capabilities import DOCKER_DEFAULT, configured, from_mask, mask_of, names
from hullcheck.facts.processes import CGROUP, SPACES, STATUS, TIMES, Gone, parse_cgroup
from hullcheck.transport import CannotAnswer
from tests.unit.fake import host_with

ID = "ab" * 32


def status(pid, name="init", **changes):
    fields = {
        "Name": name,
        "State": "S (sleeping)",
        "Tgid": str(pid),
        "PPid": "0",
        "TracerPid": "0",
        "Uid": "0\t0\t0\t0",
        "Gid": "0\t0\t0\t0",
        "Groups": "0 10 ",
        "NSpid": f"{pid}\t1",
        "CapInh": "0000000000000000",
        "CapPrm": "00000000a80425fb",
        "CapEff": "00000000a80425fb",
        "CapBnd": "00000000a80425fb",
        "CapAmb": "0000000000000000",
        "NoNewPrivs": "1",
        "Seccomp": "2",
        "Seccomp_filters": "1",
    } | changes
    return "".join(f"{pid}/status:{key}:\t{value}\n" for key, value in fields.items())


def stat(pid, name="init", ticks=12345):
    return f"{pid}/stat:{pid} ({name}) S 0 " + "0 " * 17 + f"{ticks} 0 0\n"


def host(statuses=None, cgroup=None, times=None, spaces="1/ns/pid 4:10\n", **replies):
    answers = {
        STATUS.command: statuses or status(1),
        CGROUP.command: cgroup or f"1/cgroup:3:cpu,cpuacct:/docker/{ID}\n1/cgroup:0::/a:b\n",
        TIMES.command: times or stat(1) + "stat:btime 1700000000\n",
        SPACES.command: spaces,
    }
    return host_with(answers | replies)


def processes(given_host):
    return facts.get(given_host, "processes")


def test_a_process_is_read():
    process = processes(host()).get(1)
    assert str(process) == "1 (init)"
    assert (process.uids, process.groups, process.nspid) == ((0, 0, 0, 0), {0, 10}, (1, 1))
    assert process.caps.effective == DOCKER_DEFAULT
    assert (process.no_new_privs, process.seccomp, process.seccomp_filters) == (True, 2, 1)
    assert process.cgroups == {"cpu": f"/docker/{ID}", "cpuacct": f"/docker/{ID}", "": "/a:b"}
    assert process.started == 1700000123.45
    assert process.namespace("pid") == (4, 10)
    assert processes(host()).by_cgroup(ID)[0].pid == 1


def test_names_may_hold_anything():
    """A program may call itself what it likes: that forges neither its state nor its start."""
    odd = ") R 1 (x\nstat:btime 1"
    times = stat(1, ") R 7 7 (x", ticks=500) + "stat:btime 1700000000\n"
    found = processes(host(status(1, r") R (\nUid:\t5"), times=times)).get(1)
    assert found.started == 1700000005.0
    assert found.uids == (0, 0, 0, 0)
    raw = stat(1, odd, ticks=500).replace("\n", "\n1/stat:", 1) + "stat:btime 1700000000\n"
    assert processes(host(times=raw)).get(1).started == 1700000005.0


def test_a_name_with_newlines_blinds_nobody():
    """The sweep of stat takes lines that begin with a number: the rest is asked for by itself."""
    asked = "cd /proc && grep -aH '' /dev/null 7/stat"
    whole = stat(7).removesuffix("\n").rpartition(")")[2]
    rows = f"7/stat:7 (a\n7/stat:)\n7/stat:b){whole}\n"
    answers = {asked: (0, rows)}
    cgroups = "".join(f"{pid}/cgroup:0::/\n" for pid in (1, 7))
    times = stat(1) + "7/stat:7 (a\nstat:btime 1\n"
    spaces = "1/ns/pid 4:10\n7/ns/pid 4:10\n"
    found = processes(host(status(1) + status(7), cgroups, times, spaces, **answers))
    assert found.get(7).started == processes(host(status(1), times=stat(1) + "stat:btime 1\n",
                                                  cgroup=cgroups)).get(1).started  # fmt: skip


@pytest.mark.parametrize("reason", ["No such file or directory", "No such process"])
def test_a_process_that_ends_during_the_sweep_is_left_out(reason):
    answers = {CGROUP.command: (2, "1/cgroup:0::/\n", f"grep: 7/cgroup: {reason}\n")}
    found = processes(host(status(1) + status(7), times=stat(1) + stat(7) + "stat:btime 1\n"
                           , **answers))  # fmt: skip
    assert [process.pid for process in found] == [1]


def test_a_denied_file_is_unknown():
    answers = {STATUS.command: (2, status(1), "grep: 7/status: Permission denied\n")}
    with pytest.raises(Unknown, match="7/status: Permission denied"):
        processes(host(**answers))


def test_a_hidden_process_table_is_unknown():
    with pytest.raises(Unknown, match="hidepid"):
        processes(host(status(44), cgroup="44/cgroup:0::/\n", times=stat(44) + "stat:btime 1\n"))


def test_a_sweep_that_broke_is_no_answer():
    answers = {STATUS.command: (2, status(1), "grep: memory exhausted\n")}
    with pytest.raises(CannotAnswer, match="memory exhausted"):
        processes(host(**answers))
    answers = {STATUS.command: (126, "", "sh: grep: Argument list too long\n")}
    with pytest.raises(CannotAnswer, match="Argument list too long"):
        processes(host(**answers))


@pytest.mark.parametrize("style", ["cannot statx '1/ns/pid'", "can't stat '1/ns/pid'"])
def test_a_namespace_that_is_denied_is_unknown_and_nothing_else_is(style):
    answers = {SPACES.command: (123, "1/ns/net 4:9\n", f"stat: {style}: Permission denied\n")}
    process = processes(host(**answers)).get(1)
    assert process.namespace("net") == (4, 9)
    with pytest.raises(Unknown, match="pid namespace"):
        process.namespace("pid")


def test_what_an_old_kernel_does_not_tell_is_unknown():
    text = "".join(
        line + "\n"
        for line in status(1).splitlines()
        if not any(name in line for name in ("NoNewPrivs", "Seccomp", "NSpid", "CapAmb"))
    )
    process = processes(host(text)).get(1)
    assert process.caps.ambient == frozenset()
    for name in ("no_new_privs", "seccomp"):
        with pytest.raises(Unknown):
            getattr(process, name)


def test_the_command_line_is_kept_byte_for_byte():
    command = "head -c 1048577 -- /proc/1/cmdline"
    process = processes(host(**{command: b"a b\0\0c\nd\0\xff\0"})).get(1)
    assert process.cmdline == ["a b", "", "c\nd", "\udcff"]


@pytest.mark.parametrize(
    ("complaint", "kind"),
    [
        ("No such file or directory", Gone),
        ("No such process", Gone),
        ("Permission denied", Unknown),
    ],
)
def test_a_program_that_cannot_be_read(complaint, kind):
    command = "readlink -nv /proc/1/exe"
    process = processes(host(**{command: (1, "", f"readlink: /proc/1/exe: {complaint}\n")})).get(1)
    with pytest.raises(Unknown) as raised:
        _ = process.exe
    assert type(raised.value) is kind


@given(st.text(max_size=300))
def test_a_damaged_status_is_never_a_clean_process(damage):
    text = "\n".join(f"1/status:{line}" for line in damage.split("\n")) + "\n"
    try:
        found = processes(host(text)).get(1)
    except (Unknown, CannotAnswer):
        return
    assert found is None


@given(st.sampled_from(status(1).splitlines()), st.text("0123456789abcdefx \t-", max_size=20))
def test_a_damaged_field_is_read_exactly_or_not_at_all(line, value):
    key = line.split(":")[1]
    try:
        process = processes(host(status(1, **{key: value}))).get(1)
        read = {
            "Seccomp": lambda: str(process.seccomp),
            "NoNewPrivs": lambda: str(int(process.no_new_privs)),
            "CapEff": lambda: process.caps.effective_mask,
        }.get(key, str)()
    except (Unknown, CannotAnswer):
        return
    if key in ("Seccomp", "NoNewPrivs"):
        assert read == value.strip()
    if key == "CapEff":
        assert read == int(value, 16)


@given(st.lists(st.text(max_size=40), max_size=5))
def test_any_cgroup_lines_are_paths_or_an_error(lines):
    try:
        found = parse_cgroup(lines)
    except ValueError:
        return
    assert found
    assert all(path.startswith("/") for path in found.values())


@given(st.integers(min_value=0, max_value=2**64 - 1))
def test_a_mask_has_one_name_per_bit(mask):
    assert mask_of(f"{mask:016x}") == mask
    assert len(from_mask(mask)) == mask.bit_count()


@pytest.mark.parametrize("text", ["", "0x1f", "-1", "1_0", "g", "0" * 17, "1 2"])
def test_what_is_no_mask_is_unknown(text):
    with pytest.raises(Unknown):
        mask_of(text)


def test_capabilities_have_one_spelling():
    """Peer mistake 45 and its kin: text is taken for what the kernel does with it."""
    assert names(["sys_admin", " CAP_net_raw ", "Cap_All", "all", ""]) == {
        "CAP_SYS_ADMIN",
        "CAP_NET_RAW",
        "ALL",
    }
    assert configured(["sys_admin"], ["aLL"]) == {"CAP_SYS_ADMIN"}
    assert configured(None, ["net_raw"]) == DOCKER_DEFAULT - {"CAP_NET_RAW"}
    assert "CAP_BPF" in configured(["ALL"], ["chown"])
    assert "CAP_CHOWN" not in configured(["ALL"], ["chown"])
    assert "CAP_SYS_BOOT" in configured(None, ["ALL"], privileged=True)
