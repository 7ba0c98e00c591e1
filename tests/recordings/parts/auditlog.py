"""Audit of what leads out of containers, logs, clock, integrity and sensors.

Programs that this machine has not (auditctl, auditd, rsyslogd, chronyd, aide, falco) are stood in
for: a copy of sleep(1) under their name runs, and scripts print what the real ones print.
"""

from __future__ import annotations

from tests.live.hosts.docker import DockerHost
from tests.live.hosts.overlay import OverlayHost
from tests.live.hosts.population import SOUND
from tests.recordings.parts.audit_rules import EVERYTHING, LOOKALIKES, STATUS

__all__ = ["AUDITD", "KNOWN", "aide", "auditd", "chronyc", "pretend", "rotten", "rules", "sound"]

FOUND = (
    "find -H /usr/local/sbin /usr/local/bin /usr/sbin /usr/bin -maxdepth 1 \\( -name podman -o"
    " -name buildah -o -name crun -o -name conmon -o -name ctr -o -name systemd-nspawn -o -name"
    " crictl -o -name nerdctl -o -name buildkitd -o -name lxc-start -o -name crio -o -name kubelet"
    " -o -name youki -o -name runsc \\) -exec readlink -f {} + | sort -u"
)
SETTINGS = (
    "/etc/containers", "/etc/crio", "/etc/cni/net.d", "/etc/containerd", "/etc/kubernetes",
    "/etc/lxc", "/usr/lib/cni", "/opt/cni/bin", "/etc/buildkit", "/var/lib/kubelet",
    "/etc/crictl.yaml", "/usr/lib/systemd/system", "/etc/systemd/system",
)  # fmt: skip
LATER = ("/usr/bin/crio", "/usr/bin/kubelet")
"""Programs that another part adds."""
CALLS = ("init_module,finit_module,delete_module", "mount,move_mount,unshare,setns,bpf,ptrace")
GAINS = "readlink -f /usr/bin/mount /usr/bin/umount /usr/bin/newuidmap /usr/bin/newgidmap \
/usr/bin/fusermount /usr/bin/fusermount3 | sort -u"

KNOWN = """\
local_events = yes
write_logs = yes
log_file = /var/log/audit/audit.log
log_group = root
log_format = ENRICHED
flush = INCREMENTAL_ASYNC
freq = 50
max_log_file = 8
num_logs = 5
max_log_file_action = keep_logs
space_left = 75
space_left_action = email
admin_space_left = 50
admin_space_left_action = single
disk_full_action = halt
disk_error_action = halt
"""
"""Debian's /etc/audit/auditd.conf, with the actions of a host that is to stop."""

AUDITD = "install -d -m 700 /var/log/audit && install -m 600 /dev/null /var/log/audit/audit.log"

FORWARD = """\
module(load="imuxsock")
$IncludeConfig /etc/rsyslog.d/*.conf
auth,authpriv.*  /var/log/auth.log
*.* action(type="omfwd" target="{target}" port="6514" protocol="tcp" StreamDriver="gtls")
"""

TRACKING = (
    "C0248F97,192.36.143.151,2,1795828350.488754,-0.000012,0.000002,0.000012,-20.1,0.001,0.02,"
    "0.0061,0.0004,64.2,{leap}"
)
"""What chronyc 4.3 prints of ``-c tracking``."""

RULES = """\
database_in=file:/var/lib/aide/aide.db
database_out=file:/var/lib/aide/aide.db.new
Checksums = sha256+sha512
Full = p+ftype+u+g+i+n+l+s+m+c+Checksums
/usr Full
/etc Full
/opt Full
!/etc/mtab$
"""


def pretend(host: OverlayHost, *programs: str) -> None:
    """Let programs run that do nothing, as root and as services of the host."""
    for path in programs:
        host.run(
            f"cp /bin/sleep {path} && {{ setsid {path} infinity >/dev/null 2>&1 </dev/null & }}"
        )


def rules(host: OverlayHost) -> tuple[str, ...]:
    """Return rules for every engine's programs and settings, and for calls that lead out."""
    programs, gains = (host.run(each).stdout.split() for each in (FOUND, GAINS))
    made = [f"-w {path} -p rwxa -k engines" for path in programs]
    made += [f"-a always,exit -S all -F path={path} -F perm=x -F key=gains" for path in gains]
    for arch in ("b64", "b32"):
        made += [
            f"-a always,exit -F arch={arch} -S all -F dir={path} -F perm={perm} -F key=engines"
            for path, perm in {
                **dict.fromkeys(SETTINGS, "wa"),
                **dict.fromkeys(LATER, "wxa"),
            }.items()
        ]
        made += [f"-a always,exit -F arch={arch} -S {calls} -F key=out" for calls in CALLS]
    return tuple(made)


def load(host: OverlayHost, loaded: tuple[str, ...], written: tuple[str, ...]) -> None:
    """Let auditctl's stand-in list these rules, and the rules files hold those."""
    text = "".join(f"{rule}\n" for rule in loaded) or "No rules\n"
    host.write("/usr/local/share/audit/loaded", text)
    lines = ("-D", "-b 8192", *written)
    host.write("/etc/audit/rules.d/docker.rules", "".join(f"{line}\n" for line in lines), 0o640)


def auditd(host: OverlayHost, config: str = KNOWN) -> None:
    host.write("/etc/audit/auditd.conf", config, 0o640)
    host.run(AUDITD)
    pretend(host, "/usr/sbin/auditd")


def aide(host: OverlayHost, config: str = RULES) -> None:
    host.write("/etc/aide/aide.conf", config)
    host.write("/usr/bin/aide", "#!/bin/sh\nexit 0\n", 0o755)
    host.write("/var/lib/aide/aide.db", "@@begin_db\n@@end_db\n", 0o600)
    host.write("/etc/cron.d/aide", "30 5 * * * root /usr/bin/aide --check\n")


def chronyc(host: OverlayHost, leap: str = "Normal") -> None:
    host.write("/usr/bin/chronyc", f"#!/bin/sh\necho '{TRACKING.format(leap=leap)}'\n", 0o755)


def boot(host: OverlayHost, words: str) -> None:
    """Show more words at the end of what the kernel was booted with."""
    line = host.run("cat /proc/cmdline").stdout.strip()
    host.write("/root/shown/auditlog-cmdline", f"{line} {words}\n")
    host.run("mount --bind /root/shown/auditlog-cmdline /proc/cmdline")


def sound(host: DockerHost) -> None:
    whole = (*EVERYTHING, *rules(host))
    auditd(host)
    pid = host.run("sed -n 's/^pid //p' /usr/local/share/audit/status").stdout.strip()
    host.write("/usr/local/share/audit/status", STATUS.format(enabled=2, pid=pid, lost=0))
    load(host, whole, (*whole, "-e 2"))
    boot(host, "audit=1 audit_backlog_limit=8192")
    host.run(
        "mkdir -p /var/log/journal && systemctl restart systemd-journald && journalctl --flush"
    )
    host.write("/etc/rsyslog.conf", FORWARD.format(target="log.example"))
    host.write("/etc/containers/containers.conf.d/logs.conf",
               "[containers]\nlog_size_max = 10485760\n")  # fmt: skip
    host.docker("create", "--name=bounded", "--log-driver=local", *SOUND, "--network=none",
                "busybox:1")  # fmt: skip
    chronyc(host)
    aide(host)
    pretend(host, "/usr/sbin/rsyslogd", "/usr/sbin/chronyd", "/usr/bin/falco")


def rotten(host: OverlayHost) -> None:
    auditd(host, KNOWN.replace("email", "ignore").replace("keep_logs", "suspend").replace(
        "single", "suspend").replace("halt", "suspend"))  # fmt: skip
    host.run("chmod 666 /var/log/audit/audit.log; chmod 755 /var/log/audit")
    limited = [f"{rule} -F auid>=1000 -F auid!=-1" for rule in rules(host) if "-S init" in rule]
    load(host, (*LOOKALIKES, *limited), EVERYTHING)
    host.write("/etc/systemd/journald.conf.d/storage.conf", "[Journal]\nStorage=volatile\n")
    host.write("/etc/rsyslog.conf", FORWARD.format(target="127.0.0.1").replace("auth,", "#"))
    chronyc(host, "Not synchronised")
    aide(host)
    host.run("rm /var/lib/aide/aide.db")
    pretend(host, "/usr/sbin/rsyslogd", "/usr/sbin/chronyd", "/usr/sbin/ntpd")
