"""Jenkins: what its files say, and that no secret of theirs leaves the host."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from checks.build.test_jenkins import (
    test_jenkins_access as access,
)
from checks.build.test_jenkins import (
    test_jenkins_agents as agents,
)
from checks.build.test_jenkins import (
    test_jenkins_executors as executors,
)
from checks.build.test_jenkins import (
    test_jenkins_http as http,
)
from checks.build.test_jenkins import (
    test_jenkins_pages as pages,
)
from checks.build.test_jenkins import (
    test_jenkins_secrets as secrets,
)
from hullcheck.control import Unknown
from hullcheck.facts.files import Files
from hullcheck.facts.jenkins.controller import JenkinsHome, jenkins_home
from hullcheck.facts.jenkins.secrets import leaks, leaks_want, parse_leaks
from hullcheck.facts.jenkins.setup import setups
from hullcheck.facts.jenkins.xml import parse_shape, shape_want
from hullcheck.facts.registry import Unseen
from hullcheck.facts.runners.places import PLACES
from hullcheck.transport import Answer, Evidence, session_of
from hullcheck.verdict import Object
from tests.unit.fake import host_with
from tests.unit.here import host_here
from tests.unit.judged import outcome

SHELLS = [("/bin/sh",), ("busybox", "sh")]
PLANTED = ("p1anted-in-C1ear", "AKIAIOSFODNN7EXAMPLE", "hunter2-of-ldap")

XML = """<?xml version='1.1' encoding='UTF-8'?>
<hudson>
  <version>2.462.3</version>
  <numExecutors>0</numExecutors>
  <useSecurity>true</useSecurity>
  <!-- <useSecurity>false</useSecurity>
  <numExecutors>9</numExecutors> -->
  %s
  <slaveAgentPort>-1</slaveAgentPort>
  <crumbIssuer class="hudson.security.csrf.DefaultCrumbIssuer">
    <excludeClientIPFromCrumb>false</excludeClientIPFromCrumb>
  </crumbIssuer>
  <globalNodeProperties><string>PATH</string><string>p1anted-in-C1ear
in two lines</string></globalNodeProperties>
</hudson>
"""
LDAP = """<securityRealm class="hudson.security.LDAPSecurityRealm" plugin="ldap@7">
    <managerPasswordSecret>hunter2-of-ldap</managerPasswordSecret>
  </securityRealm>"""
OWN = """<securityRealm class="hudson.security.HudsonPrivateSecurityRealm">
    <disableSignup>%s</disableSignup>
  </securityRealm>"""
PACKAGE = "hudson.security."
ROLES = "com.michelin.cio.hudson.plugins.rolestrategy.RoleBasedAuthorizationStrategy"


def strategy(kind: str, inside: str = "") -> str:
    return f'<authorizationStrategy class="{kind}">{inside}</authorizationStrategy>'


LOGGED_IN = strategy(
    f"{PACKAGE}FullControlOnceLoggedInAuthorizationStrategy",
    "<denyAnonymousReadAccess>true</denyAnonymousReadAccess>",
)


def matrix(*permissions: str) -> str:
    inside = "".join(f"<permission>{each}</permission>" for each in permissions)
    return strategy(f"{PACKAGE}GlobalMatrixAuthorizationStrategy", inside)


def home(folder: Path, text: str = "", shell: tuple[str, ...] = ("/bin/sh",)) -> JenkinsHome:
    if text:
        (folder / "config.xml").write_text(text)
    return JenkinsHome(host_here(*shell), str(folder), os.getuid(), None)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("inside", "expected"),
    [
        (LDAP + LOGGED_IN, "pass"),
        (OWN % "true" + LOGGED_IN, "pass"),
        (OWN % "false" + LOGGED_IN, "fail"),
        (LOGGED_IN, "fail"),
        (LDAP, "fail"),
        (f'<securityRealm class="{PACKAGE}SecurityRealm$None"/>' + LOGGED_IN, "fail"),
        (LDAP + strategy(f"{PACKAGE}AuthorizationStrategy$Unsecured"), "fail"),
        (LDAP + strategy(f"{PACKAGE}LegacyAuthorizationStrategy"), "fail"),
        (LDAP + strategy(f"{PACKAGE}FullControlOnceLoggedInAuthorizationStrategy"), "fail"),
        (LDAP + LOGGED_IN + "<useSecurity>false</useSecurity>", "fail"),
        (LDAP + matrix("USER:hudson.model.Hudson.Administer:alice",
                       "GROUP:hudson.model.Hudson.Read:authenticated"), "pass"),
        (LDAP + matrix("hudson.model.Hudson.Read:anonymous"), "fail"),
        (LDAP + matrix("USER:hudson.model.Item.Build:anonymous"), "fail"),
        (LDAP + matrix("hudson.model.Hudson.Administer:authenticated"), "fail"),
        (LDAP + strategy(ROLES, '<roleMap type="globalRoles"><role name="all" pattern=".*">'
         "<permissions><permission>hudson.model.Hudson.Read</permission></permissions>"
         '<assignedSIDs><sid type="EITHER">anonymous</sid></assignedSIDs></role></roleMap>'),
         "fail"),
        (LDAP + strategy("org.jenkinsci.plugins.GithubAuthorizationStrategy"), "manual"),
        (LDAP + "<!ENTITY x 'y'>" + LOGGED_IN, "unknown"),
        (LDAP + "<![CDATA[ <useSecurity>false</useSecurity> ]]>" + LOGGED_IN, "unknown"),
        ("<open>" + LDAP + LOGGED_IN, "unknown"),
    ],
)  # fmt: skip
def test_who_gets_in(tmp_path: Path, shell: tuple[str, ...], inside: str, expected: str) -> None:
    assert outcome(access, home(tmp_path, XML % inside, shell)) == expected


def test_what_is_commented_out_or_not_set_up_decides_nothing(tmp_path: Path) -> None:
    assert outcome(executors, home(tmp_path, XML % LDAP)) == "pass"
    assert outcome(executors, home(tmp_path, "<?xml version='1.0'?>\n<hudson/>")) == "fail"
    (tmp_path / "config.xml").unlink()
    assert outcome(access, home(tmp_path)) == "unknown"


@pytest.mark.parametrize("text", ["<hudson>" * 200 + "</hudson>" * 200, "no XML", "", "<a/><b/>"])
def test_hostile_xml_is_unknown(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.xml").write_text(text)
    assert outcome(access, home(tmp_path)) == "unknown"


def test_what_a_host_sends_is_not_trusted() -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><shape><a>&b;</a></shape>'
    asked = shape_want("/x")
    with pytest.raises(Unknown):
        parse_shape("/x", Answer(asked, Evidence(asked.command, 0, bomb, b"")))


CODE = {
    "jenkins: {numExecutors: 0, securityRealm: {ldap: {}}}": "pass",
    "jenkins: {numExecutors: 0, authorizationStrategy: unsecured}": "fail",
    "jenkins:\n  securityRealm:\n    local:\n      allowsSignup: true\n": "fail",
    "jenkins:\n  securityRealm:\n    local: {allowsSignup: false}\n": "pass",
    "jenkins: {authorizationStrategy: {loggedInUsersCanDoAnything: {allowAnonymousRead: true}}}":
        "fail",
    "jenkins: {authorizationStrategy: {loggedInUsersCanDoAnything: {allowAnonymousRead: false}}}":
        "pass",
    "jenkins:\n  authorizationStrategy:\n    globalMatrix:\n      permissions:\n"
    "      - 'GROUP:Overall/Administer:authenticated'\n": "fail",
    "jenkins:\n  authorizationStrategy:\n    globalMatrix:\n      entries:\n"
    "      - user: {name: anonymous, permissions: [Overall/Read]}\n": "fail",
    "jenkins:\n  authorizationStrategy:\n    roleBased:\n      roles:\n        global:\n"
    "        - {name: all, permissions: [Job/Read], entries: [{user: anonymous}]}\n": "fail",
    "jenkins: {authorizationStrategy: {globalMatrix: {entries: 7, permissions: {a: 1}}}}": "pass",
    "jenkins: 7\n": "pass",
    "a: &a [1]\nb: [*a, *a]\n": "unknown",
    "a: {b: [": "unknown",
    "[" * 3000: "unknown",
}  # fmt: skip


@pytest.mark.parametrize(("code", "expected"), CODE.items())
def test_configuration_as_code_counts_beside_the_file(
    tmp_path: Path, code: str, expected: str
) -> None:
    (tmp_path / "jenkins.yaml").write_text(code)
    assert outcome(access, home(tmp_path, XML % (LDAP + LOGGED_IN))) == expected


JOB = """<?xml version='1.1' encoding='UTF-8'?>
<project>
  <hudson.model.StringParameterDefinition><name>{name}</name>
    <defaultValue>{value}</defaultValue></hudson.model.StringParameterDefinition>
  <credentialsId>prod-deploy</credentialsId>
  <passwordVariable>PASS</passwordVariable>
  <smtpAuthPassword>xklNqRpMJK+CWD43Y2uiu5Ik8h8YJ5mBfYoMojMvYTw=</smtpAuthPassword>
  <apiToken>{{AQAAABAAAAAQ9zQ+N2T7}}</apiToken>
  <command>{script}</command>
</project>
"""


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("name", "value", "script", "found"),
    [
        ("BRANCH", "main", "make test; X_TOKEN=$TOKEN ./run --password-stdin", []),
        ("DB_PASSWORD", "p1anted-in-C1ear", "", ["parameter DB_PASSWORD"]),
        ("DB_PASSWORD", "${VAULT}", "TOKEN=$(vault read x)", []),
        ("TOKEN_URL", "https://x.example", "export TOKEN_FILE=/run/x", []),
        ("X", "", "export API_TOKEN=p1anted-in-C1ear", ["script API_TOKEN"]),
        ("X", "", "MY_SECRET=&quot;p1anted-in-C1ear&quot; ./run", ["script MY_SECRET"]),
        ("X", "", "aws configure set x AKIAIOSFODNN7EXAMPLE", ["shape AKIA"]),
    ],
)
def test_secrets_in_clear(
    tmp_path: Path, shell: tuple[str, ...], name: str, value: str, script: str, found: list[str]
) -> None:
    job = tmp_path / "jobs/team/jobs/app"
    job.mkdir(parents=True)
    (job / "config.xml").write_text(JOB.format(name=name, value=value, script=script))
    (tmp_path / "jobs/team/builds").mkdir()
    (tmp_path / "jobs/team/builds/config.xml").write_text(JOB.format(name="TOKEN", value="a1b2c3",
                                                                     script=""))  # fmt: skip
    made = home(tmp_path, XML % (LDAP.replace("hunter2-of-ldap", "{AQAA+x=}") + LOGGED_IN), shell)
    seen, hidden = leaks(made.host, made.folder)
    assert [f"{each.kind} {each.name}" for each in seen] == found
    assert not hidden
    assert outcome(secrets, made, Files(made.host)) == ("fail" if found else "pass")


def test_no_value_leaves_the_host(tmp_path: Path) -> None:
    made = home(tmp_path, XML % (LDAP + LOGGED_IN))
    shutil.copytree(tmp_path, tmp_path / "nodes/a")
    assert setups(made)
    assert [each.name for each in leaks(made.host, made.folder)[0]] == ["managerPasswordSecret"] * 2
    for each in session_of(made.host).recording:
        assert not [word for word in PLANTED if word.encode() in each.stdout + each.stderr]


@pytest.mark.parametrize("text", ["", "/x\telement\tt\t9\n", "x\n= end\n", "= end\n/x"])
def test_what_is_cut_is_unknown(text: str) -> None:
    asked = leaks_want("/x")
    with pytest.raises(Unknown):
        parse_leaks(Answer(asked, Evidence(asked.command, 0, text.encode(), b"")))


def running(folder: Path, *words: str, **settings: str) -> JenkinsHome:
    process: Any = SimpleNamespace(pid=7, uids=(os.getuid(),) * 4)
    agent: Any = SimpleNamespace(
        arguments=["java", *words], settings=settings, process=process, own=True, seen=str
    )
    (folder / "config.xml").write_text(XML % (LDAP + LOGGED_IN))
    return JenkinsHome(host_here(), str(folder), os.getuid(), agent)


CSP = "-Dhudson.model.DirectoryBrowserSupport.CSP"
CRUMBS = "-Dhudson.security.csrf.GlobalCrumbIssuerConfiguration.DISABLE_CSRF_PROTECTION"


@pytest.mark.parametrize(
    ("words", "settings", "expected"),
    [
        ([], {}, "pass"),
        ([f"{CRUMBS}=true"], {}, "fail"),
        ([f"{CRUMBS}=false"], {}, "pass"),
        ([f"{CSP}="], {}, "fail"),
        ([f"{CSP}=default-src 'self'; script-src 'unsafe-inline'"], {}, "fail"),
        ([f"{CSP}=sandbox; default-src 'none'; img-src 'self'"], {}, "pass"),
        ([f"{CSP}=sandbox allow-scripts; default-src *"], {}, "fail"),
        (["-Dpermissive-script-security.enabled=no_security"], {}, "fail"),
        ([], {"JAVA_TOOL_OPTIONS": f"-Xmx1g {CSP}="}, "fail"),
        (["@/etc/jenkins.args"], {}, "unknown"),
        (["--config=/etc/winstone"], {}, "unknown"),
    ],
)
def test_what_weakens_pages(
    tmp_path: Path, words: list[str], settings: dict[str, str], expected: str
) -> None:
    assert outcome(pages, running(tmp_path, *words, **settings)) == expected


def test_what_frees_agents(tmp_path: Path) -> None:
    (tmp_path / "secrets").mkdir()
    switch = tmp_path / "secrets/slave-to-master-security-kill-switch"
    assert outcome(agents, running(tmp_path)) == "pass"
    assert outcome(agents, running(tmp_path, "-Djenkins.security.s2m.X=true")) == "fail"
    switch.write_text("true")
    assert outcome(agents, running(tmp_path)) == "pass"
    old = (tmp_path / "config.xml").read_text().replace("2.462.3", "2.319.1")
    assert outcome(agents, home(tmp_path, old)) == "fail"
    switch.write_text("false\n")
    assert outcome(agents, home(tmp_path, old)) == "pass"
    open_port = old.replace("<slaveAgentPort>-1<", "<slaveAgentPort>0<")
    assert outcome(agents, home(tmp_path, open_port)) == "fail"


def test_one_that_may_run_is_not_said_to_be_idle(tmp_path: Path) -> None:
    assert outcome(http, home(tmp_path)) == "not-applicable"
    doubtful = JenkinsHome(host_here(), str(tmp_path), os.getuid(), None, "it may run")
    assert outcome(http, doubtful) == "unknown"


PROCESS: Any = SimpleNamespace(name="java", uids=(995,) * 4, pid=7)


def found_homes(*agents: Any, java: bool = False, err: str = "") -> list[Any]:
    """What a host says that has a home of uid 995 in /srv/j."""
    record = "81a4 995 1700000000 /srv/j/identity.key.enc\n//\nend 1\n//\n"
    host = host_with({PLACES.command: (0, record, err)})
    seeds = {"build_agents": list(agents), "processes": [PROCESS] if java or agents else []}
    for name, value in seeds.items():
        session_of(host).recall(("provider", name), lambda value=value: value)
    return list(jenkins_home(host))


def controller(*words: str, own: bool | None = True, **settings: str) -> Any:
    agent: Any = SimpleNamespace(
        kind="jenkins", arguments=["java", *words], settings=settings, process=PROCESS, own=own,
        seen=lambda path: path if own else f"/proc/7/root{path}", object=Object("build-agent", "j"),
    )  # fmt: skip
    return agent


def test_which_home_is_whose() -> None:
    (idle,) = found_homes()
    assert (idle.folder, idle.agent, idle.doubt, idle.trusted) == ("/srv/j", None, "", {0, 995})
    (by_word,) = found_homes(controller("-DJENKINS_HOME=/srv/j/"))
    (by_name,) = found_homes(controller(JENKINS_HOME="/srv/j"))
    assert by_word.agent and by_name.agent
    both = found_homes(controller(HOME="/home/ci"))
    assert [each.folder for each in both] == ["/home/ci/.jenkins", "/srv/j"]
    inside, _ = found_homes(controller(JENKINS_HOME="/var/jenkins_home", own=False))
    assert inside.folder == "/proc/7/root/var/jenkins_home"


def test_one_in_a_servlet_container_may_run_unseen() -> None:
    (tomcat,) = found_homes(java=True)
    assert "servlet" in tomcat.doubt
    nameless = found_homes(controller())
    assert nameless[0].doubt
    assert isinstance(nameless[1], Unseen)
    hidden = found_homes(err="find: '/root': Permission denied\n")
    assert isinstance(hidden[1], Unseen)
    assert len(found_homes(err="find: '/srv/j/secrets': Permission denied\n")) == 1
