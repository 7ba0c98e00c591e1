"""Where log daemons are told to send messages, read as they read it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck.control import Unknown
from hullcheck.facts.conf_files import ConfFiles
from hullcheck.facts.log_routes import elsewhere, host_of_target, selects
from hullcheck.facts.rsyslog import rsyslog_routes
from hullcheck.facts.syslog_ng import syslog_ng_routes


def routes(text: str, **more: str) -> list[tuple[str, str, bool]]:
    files = {"/etc/rsyslog.conf": text}
    files |= {f"/etc/rsyslog.d/{name}.conf": value for name, value in more.items()}
    return [(each.kind, each.target, each.whole) for each in rsyslog_routes(ConfFiles(files))]


DEBIAN = """\
# /etc/rsyslog.conf configuration file for rsyslog
module(load="imuxsock") # provides support for local system logging
$FileCreateMode 0640
$IncludeConfig /etc/rsyslog.d/*.conf
*.*;auth,authpriv.none\t\t-/var/log/syslog
auth,authpriv.*\t\t\t/var/log/auth.log
cron.*                          -/var/log/cron.log
mail.*\t\t\t-/var/log/mail.log
*.emerg\t\t\t:omusrmsg:*
"""
RHEL = """\
global(workDirectory="/var/lib/rsyslog")
module(load="builtin:omfile" Template="RSYSLOG_TraditionalFileFormat")
include(file="/etc/rsyslog.d/*.conf" mode="optional")
module(load="imuxsock"
       SysSock.Use="off")
*.info;mail.none;authpriv.none;cron.none                /var/log/messages
authpriv.*                                              /var/log/secure
#action(type="omfwd"
#queue.filename="fwdRule1"
#Target="remote_host" Port="XXX" Protocol="tcp")
"""


def test_files_of_distributions() -> None:
    assert routes(DEBIAN) == [
        ("file", "/var/log/syslog", False), ("file", "/var/log/auth.log", True),
        ("file", "/var/log/cron.log", False), ("file", "/var/log/mail.log", False),
    ]  # fmt: skip
    assert routes(RHEL)[1] == ("file", "/var/log/secure", True)
    assert not [each for each in routes(RHEL) if each[0] == "remote"]


@pytest.mark.parametrize(
    ("text", "target", "whole"),
    [
        ("*.* @@log.example:514", "log.example", True),
        ("*.*  @10.1.2.3", "10.1.2.3", True),
        ("*.* @@(z9,o)[2001:db8::1]:6514;RSYSLOG_SyslogProtocol23Format", "2001:db8::1", True),
        ("*.info;mail.none @@log", "log", True),
        ("authpriv.* @@log", "log", True),
        ("auth,authpriv.info @@log", "log", True),
        ("*.*;auth,authpriv.none @@log", "log", False),
        ("*.err @@log", "log", False),
        ("authpriv.=debug @@log", "log", False),
        ("mail.* @@log", "log", False),
        (":msg, contains, \"x\" @@log", "log", False),
        ("mail.* /var/log/mail\n& @@log", "log", False),
        ("*.* /var/log/all\n& @@log", "log", True),
        ("*.* :omrelp:log.example:2514", "log.example", True),
        ("*.* action(type=\"omfwd\"\n  target=\"log\" port=\"1\"\n protocol=\"tcp\")", "log", True),
        ("action(type='omfwd' Target='log' port='1')", "log", True),
        ("*.* { action(type=\"omrelp\" target=\"log\" tls=\"on\") }", "log", True),
        ("if $programname == 'x' then {\n action(type=\"omfwd\" target=\"log\")\n}", "log", False),
        ("if $msg == 'x' then\n  action(type=\"omfwd\" target=\"log\")", "log", False),
        ("ruleset(name=\"r\") {\n action(type=\"omfwd\" target=\"log\")\n}", "log", False),
        ("action(type=\"omelasticsearch\" server=[\"es1\", \"es2\"])", "es1", True),
        ("action(type=\"omkafka\" broker=[\"k1:9092\"] topic=\"t\")", "k1", True),
        ("# a comment ( with { braces\n*.* @@log # after", "log", True),
        ("template(name=\"t\" type=\"list\") {\n constant(value=\"{\")\n}\n*.* @@log", "log", True),
    ],
)  # fmt: skip
def test_what_goes_to_another_host(text: str, target: str, whole: bool) -> None:
    assert ("remote", target, whole) in routes(f"{text}\n")


@pytest.mark.parametrize(
    "text",
    [
        "#*.* @@log", "/* *.* @@log */", "*.* stop\n*.* @@log", "*.* ~\n*.* @@log",
        "$template x,\"*.* @@log\"\n", "set $.x = \"@@log\";",
    ],
)  # fmt: skip
def test_what_only_looks_like_it(text: str) -> None:
    assert [each for each in routes(f"{text}\n") if each[0] == "remote"] == []


def test_includes_and_their_limits() -> None:
    named = "$IncludeConfig /etc/rsyslog.d/*.conf\n"
    assert routes(named, b="*.* @@log\n", a="mail.* /x\n")[1] == ("remote", "log", True)
    assert routes(named, a="*.* stop\n", b="*.* @@log\n") == []
    with pytest.raises(Unknown, match="was not read"):
        routes("$IncludeConfig /srv/*.conf\n")
    with pytest.raises(Unknown, match="includes itself"):
        routes("$IncludeConfig /etc/rsyslog.conf\n")
    with pytest.raises(Unknown, match="need root"):
        rsyslog_routes(ConfFiles({"/etc/rsyslog.conf": named}, (("/etc/rsyslog.d", "denied"),)))
    with pytest.raises(Unknown, match="not to be found"):
        rsyslog_routes(ConfFiles({}))


NG = """\
@version: 3.38
@include "scl.conf"
source s_src { system(); internal(); };
destination d_auth { file("/var/log/auth.log"); };  # here
destination d_net { tcp("127.0.0.1" port(1000) log_fifo_size(1000)); };
destination d_far { network("log.example" port(6514) transport("tls")); };
destination d_web { http(url("https://logs.example:9200/x") method("POST")); };
destination d_unused { syslog("other.example"); };
filter f_mail { facility(mail); };
log { source(s_src); filter(f_mail); destination(d_web); };
log { source(s_src); destination(d_far); };
log { source(s_src); destination(d_auth); destination { udp("inline.example"); }; };
@include "/etc/syslog-ng/conf.d/*.conf"
"""


def test_syslog_ng() -> None:
    files = ConfFiles({"/etc/syslog-ng/syslog-ng.conf": NG})
    found = [(each.kind, each.target, each.whole) for each in syslog_ng_routes(files)]
    assert found == [
        ("remote", "logs.example", False), ("remote", "log.example", True),
        ("file", "/var/log/auth.log", True), ("remote", "inline.example", True),
    ]  # fmt: skip
    with pytest.raises(Unknown):
        syslog_ng_routes(ConfFiles({"/etc/syslog-ng/syslog-ng.conf": '@include "/srv/x.conf"\n'}))


@pytest.mark.parametrize(
    ("target", "far"),
    [
        ("log.example", True), ("10.0.0.1", True), ("2001:db8::1", True), ("127.0.0.1", False),
        ("127.9.9.9", False), ("::1", False), ("localhost", False), ("0.0.0.0", False), ("", False),
        ("web1", False), ("WEB1.example", False), ("::ffff:127.0.0.1", False),
        ("localhost.", False),
    ],
)  # fmt: skip
def test_another_host(target: str, far: bool) -> None:
    assert elsewhere(target, {"web1"}) is far


def test_targets_and_selectors() -> None:
    names = {"a": "a", "a:1": "a", "[::1]:5": "::1", "https://u:p@h:9/x": "h", "2001:db8::1":
             "2001:db8::1"}  # fmt: skip
    assert {each: host_of_target(each) for each in names} == names
    assert [selects(each) for each in ("*.*", "*.*;authpriv.none", "auth.info", "x")] == [
        True, False, False, False,
    ]  # fmt: skip


@given(st.text(alphabet="*.@{}()\"'#/\n abouthkifen=$&;,~:", max_size=80) | st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        rsyslog_routes(ConfFiles({"/etc/rsyslog.conf": text}))
        syslog_ng_routes(ConfFiles({"/etc/syslog-ng/syslog-ng.conf": text}))
    except Unknown:
        pass
