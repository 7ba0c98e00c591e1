"""What settings are now and after the next boot, from the files as systemd, procps and OpenRC
read them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck.control import Unknown
from hullcheck.facts import get
from hullcheck.facts.sysctl import Sysctl, number_of
from hullcheck.facts.sysctl_files import (
    BOOTED,
    CONTENTS,
    LISTED,
    MASKS,
    READER,
    RUNLEVELS,
    STARTS,
    key_of,
    parse_lines,
    plan_of,
)
from hullcheck.transport import CannotAnswer
from tests.unit.fake import Reply
from tests.unit.kernels import host
from tests.unit.sysctl_fake import after_boot

KPTR = "kernel.kptr_restrict"


def sysctl(answers: Mapping[str, Reply], **values: object) -> Sysctl:
    found: Sysctl = get(host(more=answers, **values), "sysctl")
    return found


def later(files: Mapping[str, str], name: str = KPTR, **values: object) -> str:
    """Return what a setting will be, and where that comes from."""
    found = sysctl(after_boot(files, **values)).later(name)
    return f"{found.value} by {found.source}" if found else "as now"


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("kernel.kptr_restrict", "kernel/kptr_restrict"),
        ("kernel/kptr_restrict", "kernel/kptr_restrict"),
        ("net.ipv4.conf.eth0/5.rp_filter", "net/ipv4/conf/eth0.5/rp_filter"),
        ("net/ipv4/conf/eth0.5/rp_filter", "net/ipv4/conf/eth0.5/rp_filter"),
        ("/proc/sys/vm/swappiness", "vm/swappiness"),
        ("net.bridge.bridge-nf-call-iptables", "net/bridge/bridge-nf-call-iptables"),
        ("", ""),
    ],
)
def test_names(name: str, key: str) -> None:
    assert key_of(name) == key


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/etc/sysctl.d/90-x.conf": "kernel.kptr_restrict=1\n"}, "1 by /etc/sysctl.d/90-x.conf"),
        ({"/etc/sysctl.d/x.conf": "  kernel/kptr_restrict =  2  "}, "2 by /etc/sysctl.d/x.conf"),
        ({"/etc/sysctl.d/x.conf": "-kernel.kptr_restrict = 2"}, "2 by /etc/sysctl.d/x.conf"),
        ({"/etc/sysctl.d/x.conf": "#kernel.kptr_restrict = 1\n;kernel.kptr_restrict = 1"}, "0"),
        # The name of the file decides, not its directory; in one file the last line.
        (
            {"/etc/sysctl.d/10-a.conf": f"{KPTR}=0", "/usr/lib/sysctl.d/99-z.conf": f"{KPTR}=1"},
            "1 by /usr/lib/sysctl.d/99-z.conf",
        ),
        ({"/etc/sysctl.d/x.conf": f"{KPTR}=1\n{KPTR}=0"}, "0 by /etc/sysctl.d/x.conf"),
        # One name: the first directory alone; an empty file or a link to /dev/null masks.
        (
            {"/etc/sysctl.d/50-d.conf": "vm.swappiness=1", "/usr/lib/sysctl.d/50-d.conf":
             f"{KPTR}=1"},
            "0",
        ),
        ({"/etc/sysctl.d/50-d.conf": "", "/usr/lib/sysctl.d/50-d.conf": f"{KPTR}=1",
          "/etc/sysctl.d/x.conf": "a.b=1"}, "0"),
        ({"/run/sysctl.d/50-d.conf": f"{KPTR}=2", "/etc/sysctl.d/50-d.conf": f"{KPTR}=1"},
         "1 by /etc/sysctl.d/50-d.conf"),
        # Not read: files with other names, hidden ones, sysctl.conf without a link to it.
        ({"/etc/sysctl.conf": f"{KPTR}=1"}, "0"),
        ({"/etc/sysctl.d/.x.conf": f"{KPTR}=1"}, "0"),
        # Patterns, what is kept from them, and what is said without one.
        ({"/etc/sysctl.d/x.conf": "kernel.kptr_*=2"}, "2 by /etc/sysctl.d/x.conf"),
        ({"/etc/sysctl.d/x.conf": "*.kptr_restrict=2"}, "2 by /etc/sysctl.d/x.conf"),
        ({"/etc/sysctl.d/x.conf": "*kptr_restrict=2"}, "0"),
        ({"/etc/sysctl.d/x.conf": f"kernel.kptr_*=2\n-{KPTR}"}, "0"),
        ({"/etc/sysctl.d/10-a.conf": f"{KPTR}=1", "/etc/sysctl.d/20-b.conf": "kernel.*=2"},
         "1 by /etc/sysctl.d/10-a.conf"),
        ({"/etc/sysctl.d/10-a.conf": f"{KPTR}=1", "/etc/sysctl.d/20-b.conf": f"-{KPTR}"}, "0"),
        ({"/etc/sysctl.d/x.conf": "kernel.kptr_*=2\n-kernel.kptr_*"}, "0"),
    ],
)  # fmt: skip
def test_merged_as_systemd_does(files: dict[str, str], expected: str) -> None:
    """sysctl.d(5). The kernel itself sets 0 here."""
    own = "0 by no file sets it, and this is the kernel's own value"
    assert later(files) == (own if expected == "0" else expected)


def test_sysctl_conf_is_read_through_a_link_or_by_procps() -> None:
    """Debian's systemd ships 99-sysctl.conf as a link to it (until 12), procps reads it last."""
    linked = {"/etc/sysctl.d/99-sysctl.conf": f"{KPTR}=2", "/etc/sysctl.conf": f"{KPTR}=2"}
    assert later(linked) == "2 by /etc/sysctl.d/99-sysctl.conf"
    files = {"/etc/sysctl.d/zz.conf": f"{KPTR}=0", "/etc/sysctl.conf": f"{KPTR}=1"}
    for reader in ({RUNLEVELS: "", STARTS[1]: "/etc/init.d/sysctl"}, {}):
        assert later(files, reader=reader) == "1 by /etc/sysctl.conf"
    assert later(files) == "0 by /etc/sysctl.d/zz.conf"


def test_nobody_reads_the_files() -> None:
    """systemd-sysctl masked, or OpenRC's service in no runlevel: the files set nothing."""
    files = {"/etc/sysctl.d/x.conf": f"{KPTR}=1"}
    masked = later(files, reader={BOOTED: "", MASKS[0]: "/dev/null"})
    assert masked == "0 by systemd-sysctl is masked, and this is the kernel's own value"
    assert later(files, reader={RUNLEVELS: ""}).startswith("0 by the service sysctl is in no")
    own = later(files, reader={BOOTED: "", MASKS[0]: "/etc/systemd/system/own.service"})
    assert own == "1 by /etc/sysctl.d/x.conf"


def test_without_a_file() -> None:
    assert later({}, "kernel.dmesg_restrict") == "as now", "each distribution builds its own"
    assert later({}, os_release="ID=bottlerocket\n") == "as now"
    hardened = sysctl(after_boot({}), release="6.9.7-hardened1-1-hardened")
    assert hardened.later(KPTR) is None


def test_the_boot_line() -> None:
    line = {"/proc/cmdline": "ro sysctl.kernel.kptr_restrict=2 sysctl/vm/x=1"}
    found = sysctl(after_boot({}), files=line).later(KPTR)
    assert found is not None
    assert (found.value, found.source) == ("2", "the boot line")
    files = {"/etc/sysctl.d/x.conf": f"{KPTR}=1"}
    over = sysctl(after_boot(files), files=line).later(KPTR)
    assert over is not None
    assert over.source == "/etc/sysctl.d/x.conf"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("sysctl -w kernel.kptr_restrict=1", "as now"),
        ("for f in /proc/sys/kernel/kptr_restrict; do echo 1 >$f; done", "as now"),
        ("  # sysctl -w kernel.kptr_restrict=1", "0 by no file sets it"),
        ("sysctl -w kernel.kptr_restrict_more=1", "0 by no file sets it"),
        ("ExecStart=/sbin/sysctl -q -p /etc/own.conf", "as now"),
        ("sysctl -e --system", "as now"),
    ],
)
def test_scripts_that_set_it_at_boot(line: str, expected: str) -> None:
    found = later({}, elsewhere={"/etc/rc.local": line})
    assert found.startswith(expected)


class TestUnseen:
    def test_a_file_that_cannot_be_read(self) -> None:
        """It may say otherwise, unless a later one has the last word."""
        secret = ("/etc/sysctl.d/50-secret.conf",)
        with pytest.raises(Unknown, match="root"):
            later({"/etc/sysctl.d/10-a.conf": f"{KPTR}=1"}, denied=secret)
        with pytest.raises(Unknown, match="root"):
            later({}, denied=secret)
        with pytest.raises(Unknown, match="root"):
            later({"/etc/sysctl.d/90-z.conf": "kernel.*=1"}, denied=secret)
        found = later({"/etc/sysctl.d/90-z.conf": f"{KPTR}=1"}, denied=secret)
        assert found == "1 by /etc/sysctl.d/90-z.conf"
        masked = ("/usr/lib/sysctl.d/50-secret.conf",)
        found = later({"/etc/sysctl.d/50-secret.conf": f"{KPTR}=1"}, denied=masked)
        assert found == "1 by /etc/sysctl.d/50-secret.conf"

    def test_a_script_that_cannot_be_read_is_a_doubt(self) -> None:
        answers = after_boot({"/etc/sysctl.d/x.conf": f"{KPTR}=0"})
        command = next(each for each in answers if "rc.local" in each)
        answers[command] = (2, "", "grep: /etc/rc.local: Permission denied\n")
        found = sysctl(answers).later(KPTR)
        assert found is not None
        assert "rc.local" in found.doubt

    def test_a_directory_is_no_file(self) -> None:
        answers = after_boot({"/etc/sysctl.d/x.conf": f"{KPTR}=1"})
        for command, (code, out, err) in list(answers.items())[:4]:
            if command.startswith("grep"):
                path = "/etc/network/if-up.d/x" if "rc.local" in command else "/etc/sysctl.d/y.conf"
                answers[command] = (code, out, f"{err}grep: {path}: Is a directory\n")
        found = sysctl(answers).later(KPTR)
        assert found is not None
        assert (found.value, found.doubt) == ("1", "")

    @pytest.mark.parametrize(
        "damage",
        [
            {LISTED.command: (1, "", "find: '/etc/sysctl.d': Permission denied\n")},
            {LISTED.command: (0, "/etc/sysctl.d/x.conf\0/etc/sys", "")},
            {LISTED.command: (0, "/tmp/x.conf\0", "")},
            {LISTED.command: (0, "/etc/sysctl.d/a:b.conf\0", "")},
            {LISTED.command: (0, "", "")},
            {LISTED.command: (127, "", "find: not found\n")},
            {CONTENTS.command: (1, "", "")},
            {CONTENTS.command: (2, "/etc/sysctl.d/x.conf:kernel.kptr", "")},
            {CONTENTS.command: (0, "what is this\n", "")},
            {READER.command: (0, "", "")},
            {READER.command: (1, "", f"stat: cannot statx '{BOOTED}': Permission denied\n")},
            {READER.command: (0, "\xff\x1b[2J\n", "")},
        ],
    )
    def test_damage_is_unknown(self, damage: dict[str, Reply]) -> None:
        answers = {**after_boot({"/etc/sysctl.d/x.conf": f"{KPTR}=1"}), **damage}
        with pytest.raises((Unknown, CannotAnswer)):
            sysctl(answers).later(KPTR)

    def test_only_root_may_read_it(self) -> None:
        name = "net.core.bpf_jit_harden"
        with pytest.raises(Unknown, match="needs root"):
            sysctl({}, denied=(name,)).number(name)


@pytest.mark.parametrize(
    ("text", "number"), [("1", 1), ("-1\n", -1), ("0x1b6", 438), ("010", 8), ("0", 0), ("08", 8)]
)
def test_numbers_as_the_kernel_reads_them(text: str, number: int) -> None:
    assert number_of(text, "x") == number


@pytest.mark.parametrize("text", ["", "1 2", "one", '"1"', "²", "1" * 30, "0x"])
def test_what_is_no_number(text: str) -> None:
    with pytest.raises(Unknown):
        number_of(text, "x")


@given(st.text(), st.text())
def test_any_text_can_be_read(text: str, name: str) -> None:
    parse_lines(text, "/x")
    plan_of(["/x"], {"/x": text}).of(key_of(name))
