"""Kernel modules: modprobe.d as kmod and busybox read it, depmod's indexes, signatures."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from testinfra.host import Host

from hullcheck.control import Unknown
from hullcheck.facts import get
from hullcheck.facts.drop_ins import Piece
from hullcheck.facts.modules import INDEX, LOADED, PROGRAM, RULES, Modules, Rules, loads
from hullcheck.facts.role import KUBERNETES_NODE, Role
from hullcheck.inventory.policy import Policy
from tests.unit.fake import Reply
from tests.unit.kernels import host, verdict

# Debian 12, linux-image-6.1.0-50-amd64; RHEL and SUSE compress, with .xz and .zst.
DEP = (
    "=modules.dep 4021\n"
    "/lib/modules/6.1.0-50-amd64/modules.dep:kernel/net/sctp/sctp.ko: "
    "kernel/net/ipv4/udp_tunnel.ko kernel/lib/libcrc32c.ko\n"
    "/lib/modules/6.1.0-50-amd64/modules.dep:kernel/net/tipc/tipc.ko.xz: kernel/x.ko.xz\n"
    "/lib/modules/6.1.0-50-amd64/modules.dep:kernel/fs/hfs/hfs.ko.zst: kernel/cdrom.ko.zst\n"
    "/lib/modules/6.1.0-50-amd64/modules.dep:kernel/drivers/usb/storage/usb-storage.ko: a.ko\n"
)
BUILTIN = "=modules.builtin 231\n"
UDF = "/lib/modules/6.1.0-50-amd64/modules.builtin:kernel/fs/udf/udf.ko\n"
END = "=.\n"
MODULES = f"overlay 163840 12 - Live 0x0000000000000000\nbinfmt_misc 24576 0 - Live 0x0\n{END}"
NO_FILES = "grep: /etc/modprobe.d/*.conf: No such file or directory\n"


def etc(text: str) -> tuple[int, str, str]:
    """What the sweep gives for one file in /etc/modprobe.d."""
    path = "/etc/modprobe.d/x.conf"
    lines = "".join(f"{path}:{line}\n" for line in text.split("\n"))
    return 0, f"={path}\n{lines}{END}", NO_FILES


def here(
    told: Reply | None = None,
    *,
    files: Mapping[str, str] | None = None,
    loaded: Reply = MODULES,
    index: Reply = DEP + BUILTIN,
    program: str = "/usr/bin/kmod\n",
    **more: str,
) -> Host:
    answers = {
        LOADED.command: loaded,
        INDEX.command: index,
        PROGRAM.command: program,
        RULES.command: told if told is not None else (0, END, NO_FILES),
    }
    return host(files, more=answers, **more)  # type: ignore[arg-type]


def of(made: Host) -> Modules:
    found: Modules = get(made, "modules")
    return found


def protocols(made: Host, role: Role | None = None, policy: Policy | None = None) -> str:
    facts = {"role": role or Role(frozenset(), "test")}
    return str(verdict("host.rare-protocols", made, policy=policy, **facts).status)


BOTH = "install sctp /bin/false\ninstall tipc /bin/true"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "fail"),
        (BOTH, "pass"),
        ("install  sctp\t/bin/false # why\n\tinstall tipc exit 0", "pass"),
        ("install sctp \\\n/bin/false\ninstall tipc /usr/bin/false >/dev/null 2>&1", "pass"),
        ("install [st]*p* /bin/false", "pass"),
        ("install sctp /bin/echo refused; /bin/false\ninstall tipc /bin/false", "pass"),
        ("blacklist sctp\nblacklist tipc", "fail"),
        ("alias net-pf-30 off\nalias sctp off", "fail"),
        ("#install sctp /bin/false\n#install tipc /bin/false", "fail"),
        (f"install sctp /sbin/modprobe --ignore-install sctp\n{BOTH}", "fail"),
        (f"install sctp /bin/true; /sbin/insmod /x/sctp.ko\n{BOTH}", "fail"),
        (f"install sctp /tmp/false\n{BOTH}", "manual"),
        (f"install sctp /bin/echo $(/x)\n{BOTH}", "manual"),
        ("install sctp\ninstall tipc /bin/false", "fail"),
        ("options sctp install=/bin/false\ninstall tipc /bin/false", "fail"),
        ("install sctp_diag /bin/false\ninstall tipc /bin/false", "fail"),
    ],
)
def test_what_modprobe_is_told(text: str, expected: str) -> None:
    """The first install line that matches counts; blacklist only hides a module's aliases."""
    assert protocols(here(etc(text))) == expected


def test_names_and_folders() -> None:
    """A file in /etc replaces the one of the same name elsewhere, even when it is empty; of two
    names the one that sorts first counts, in whatever folder."""
    vendor = "/usr/lib/modprobe.d/rare.conf"
    lines = f"{vendor}:install sctp /bin/false\n{vendor}:install tipc /bin/false\n"
    assert protocols(here((0, f"={vendor}\n{lines}{END}", NO_FILES))) == "pass"
    masked = f"=/etc/modprobe.d/rare.conf\n={vendor}\n{lines}{END}"
    assert protocols(here((0, masked, NO_FILES))) == "fail"
    early = "/run/modprobe.d/00.conf"
    first = f"={early}\n={vendor}\n{early}:install sctp modprobe -i sctp\n{lines}{END}"
    assert protocols(here((0, first, NO_FILES))) == "fail"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ((0, f"=!/etc/modprobe.d\n{END}", ""), "unknown"),
        ((0, f"=/etc/modprobe.d/x.conf\n{END}",
          "grep: /etc/modprobe.d/x.conf: Permission denied\n"), "unknown"),
        ((0, "=/etc/modprobe.d/x.conf\n", ""), "unknown"),
        ((0, "", ""), "unknown"),
        ((127, "", "sh: grep: not found\n"), "unknown"),
        ((0, f"/elsewhere/y:install tipc /bin/false\n{END}", ""), "unknown"),
    ],
)  # fmt: skip
def test_rules_that_cannot_be_read(config: Reply, expected: str) -> None:
    assert protocols(here(config)) == expected


def test_busybox_knows_no_install() -> None:
    """Its modprobe reads the same files and passes over what it does not know."""
    assert protocols(here(etc(BOTH), program="/bin/busybox\n")) == "fail"
    assert protocols(here(etc(BOTH), program="")) == "unknown"


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"/proc/sys/kernel/modules_disabled": "1"}, "pass"),
        ({"/proc/sys/kernel/modules_disabled": "0"}, "fail"),
        ({"/proc/cmdline": "ro module_blacklist=sctp,tipc"}, "pass"),
        ({"/proc/cmdline": "ro module_blacklist=sctp,tipc module_blacklist=pcspkr"}, "fail"),
        ({"/proc/cmdline": "ro modprobe.blacklist=sctp,tipc"}, "fail"),
    ],
)
def test_other_ways(files: dict[str, str], expected: str) -> None:
    assert protocols(here(files=files)) == expected


def test_the_kernel_wants_the_very_name() -> None:
    """module_blacklist=usb-storage refuses nothing: the module is usb_storage."""
    for name, expected in (("usb-storage", "fail"), ("usb_storage", "pass")):
        made = here(files={"/proc/cmdline": f"module_blacklist={name}"})
        assert verdict("host.usb-storage", made).status == expected
    assert verdict("host.usb-storage", here(etc("install usb-storage /bin/false"))).status == "pass"


def test_what_is_loaded_or_built_in_counts_whatever_is_configured() -> None:
    loaded = f"sctp 405504 4 - Live 0x0000000000000000\n{END}"
    disabled = {"/proc/sys/kernel/modules_disabled": "1"}
    assert protocols(here(etc(BOTH), loaded=loaded)) == "fail"
    assert protocols(here(etc(BOTH), loaded=loaded, files=disabled)) == "fail"
    systems = here(etc("install hfs /bin/false\ninstall udf /bin/false"), index=DEP + BUILTIN + UDF)
    found = verdict("host.rare-file-systems", systems)
    assert (found.status, "udf (a part of the kernel)" in found.reason) == ("fail", True)
    allowed = verdict("host.rare-file-systems", systems, policy=Policy(kernel_modules=("udf",)))
    assert allowed.status == "pass"


def test_a_module_that_is_not_installed() -> None:
    """RHEL keeps them in kernel-modules-extra: without it there is nothing to forbid."""
    assert protocols(here(index="=modules.dep 2890\n" + BUILTIN)) == "pass"


def test_kubernetes_knows_sctp() -> None:
    node = Role(frozenset({KUBERNETES_NODE}), "test")
    only = etc("install tipc /bin/false")
    assert protocols(here(only), node) == "pass"
    assert (
        protocols(here(only), Role(frozenset(), "test", {KUBERNETES_NODE: "denied"})) == "unknown"
    )
    assert protocols(here(etc("")), node) == "fail"
    assert protocols(here(etc("")), Role(frozenset(), "test", {KUBERNETES_NODE: "x"})) == "fail"
    assert protocols(here(only), policy=Policy(kernel_modules=("sctp",))) == "pass"


@pytest.mark.parametrize(
    "index",
    [
        "",
        "=modules.dep 3\n",
        (1, "=modules.builtin 3\n", "sh: cannot open modules.dep: Permission denied\n"),
        DEP + BUILTIN + "damage\n",
        (DEP + BUILTIN)[:-3],
    ],
)
def test_an_index_that_cannot_be_read(index: Reply) -> None:
    assert protocols(here(etc(""), index=index)) == "unknown"


def test_a_kernel_without_a_folder_of_modules() -> None:
    """Its build configuration tells what is in it: clouds and Flatcar boot such kernels."""
    none = (1, "", "cat: /proc/modules: No such file or directory\n")
    config = "# from /proc/config.gz\nCONFIG_PROC_FS=y\nCONFIG_TIPC=m\n"
    assert protocols(here(loaded=none, index="=none\n", config=config)) == "pass"
    built = config + "CONFIG_IP_SCTP=y\n"
    assert protocols(here(loaded=none, index="=none\n", config=built)) == "fail"
    assert protocols(here(loaded=none, index="=none\n")) == "unknown"


@pytest.mark.parametrize("loaded", ["", "overlay 1 0\n", f"x y z\n{END}", (1, "", "denied")])
def test_a_list_of_modules_that_is_not_whole(loaded: Reply) -> None:
    assert protocols(here(etc(BOTH), loaded=loaded)) == "unknown"


class TestSignatures:
    SIG = "/sys/module/module/parameters/sig_enforce"
    LOCK = "/sys/kernel/security/lockdown"
    NONE = "[none] integrity confidentiality"

    @pytest.mark.parametrize(
        ("sig", "lock", "disabled", "expected"),
        [
            ("Y", "[none] integrity", "0", "pass"),
            ("N", "none [integrity] confidentiality", "0", "pass"),
            ("N", "[none] integrity", "1", "pass"),
            ("N", "[none] integrity", "0", "fail"),
        ],
    )
    def test_ways(self, sig: str, lock: str, disabled: str, expected: str) -> None:
        files = {self.SIG: sig, self.LOCK: lock, "/proc/sys/kernel/modules_disabled": disabled}
        assert verdict("host.module-signatures", here(files=files)).status == expected

    def test_without_modules(self) -> None:
        none = (1, "", "cat: can't open '/proc/modules': No such file or directory\n")
        files = {self.LOCK: self.NONE}
        assert verdict("host.module-signatures", here(files=files, loaded=none)).status == "pass"
        hidden = here(files={**files, self.SIG: "N"}, loaded=none)
        assert verdict("host.module-signatures", hidden).status == "unknown"

    def test_unreadable(self) -> None:
        lost = (self.LOCK, "/sys/kernel/security/lsm")
        made = here(files={self.SIG: "N"}, without=lost)  # type: ignore[arg-type]
        assert verdict("host.module-signatures", made).status == "unknown"


@given(st.text(), st.text())
def test_any_text_can_be_read(text: str, name: str) -> None:
    found = Rules.of([Piece("/etc/modprobe.d/x.conf", text)])
    command = found.command(name)
    assert command is None or loads(command) in (True, False, None)


def test_what_is_used() -> None:
    assert of(here()).loaded == {"overlay": 12, "binfmt_misc": 0}
    with pytest.raises(Unknown):
        _ = of(here(loaded="x\n")).loaded
