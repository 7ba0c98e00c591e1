"""Jenkins, GitHub's, Azure's and Buildkite's agents on the recorded build hosts.

Their programs are stand-ins under the right names and command lines; their files have the form
that the real ones write.
"""

from __future__ import annotations

import base64
import json
import shlex
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.live.hosts.overlay import OverlayHost

__all__ = ["SECRET", "builder_rotten", "builder_sound", "kubeconfig"]

SECRET = "p1anted-in-C1ear"

JAVA = """#!/usr/bin/python3
import re, signal, socket, sys
words = dict(re.findall(r"--(\\w+)=(\\S+)", " ".join(sys.argv)))
if "httpPort" in words:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((words.get("httpListenAddress", "0.0.0.0"), int(words["httpPort"])))
    made.listen()
signal.pause()
"""

CONFIG = """<?xml version='1.1' encoding='UTF-8'?>
<hudson>
  <disabledAdministrativeMonitors/>
  <version>2.462.3</version>
  <numExecutors>{executors}</numExecutors>
  <mode>NORMAL</mode>
  <useSecurity>true</useSecurity>
  <!-- <authorizationStrategy class="hudson.security.AuthorizationStrategy$Unsecured"/> -->
  <authorizationStrategy class="hudson.security.FullControlOnceLoggedInAuthorizationStrategy">
    <denyAnonymousReadAccess>{closed}</denyAnonymousReadAccess>
  </authorizationStrategy>
  <securityRealm class="hudson.security.HudsonPrivateSecurityRealm">
    <disableSignup>{closed}</disableSignup>
    <enableCaptcha>false</enableCaptcha>
  </securityRealm>
  <markupFormatter class="hudson.markup.EscapedMarkupFormatter"/>
  <views/>
  <slaveAgentPort>{port}</slaveAgentPort>
  {crumbs}
  <globalNodeProperties/>
</hudson>
"""
CRUMBS = """<crumbIssuer class="hudson.security.csrf.DefaultCrumbIssuer">
    <excludeClientIPFromCrumb>false</excludeClientIPFromCrumb>
  </crumbIssuer>"""

JOB = """<?xml version='1.1' encoding='UTF-8'?>
<project>
  <properties>
    <hudson.model.ParametersDefinitionProperty>
      <parameterDefinitions>
        <hudson.model.StringParameterDefinition>
          <name>{name}</name>
          <defaultValue>{value}</defaultValue>
          <trim>false</trim>
        </hudson.model.StringParameterDefinition>
      </parameterDefinitions>
    </hudson.model.ParametersDefinitionProperty>
  </properties>
  <credentialsId>registry</credentialsId>
</project>
"""
RUNNER = {
    "agentId": 7, "agentName": "build1", "poolId": 1, "poolName": "Default",
    "gitHubUrl": "https://github.com/acme", "workFolder": "_work",
}  # fmt: skip
GIT = '[core]\n\tbare = false\n[remote "origin"]\n\turl = https://github.com/acme/app\n'
HEADER = f'[http "https://github.com/"]\n\textraheader = AUTHORIZATION: basic {SECRET}\n'
BUILDKITE = """# The token from Buildkite
token="{token}"
name="%hostname-%spawn"
build-path="/var/lib/buildkite-agent/builds"
hooks-path="/etc/buildkite-agent/hooks"
plugins-path="/etc/buildkite-agent/plugins"
"""


class Script:
    """What is to be done on a host, in one go."""

    def __init__(self, host: OverlayHost) -> None:
        self._host = host
        self._lines: list[str] = []

    def __enter__(self) -> Script:
        return self

    def __exit__(self, *_: object) -> None:
        self._host.run("\n".join(["set -e", *self._lines]))

    def run(self, line: str) -> None:
        self._lines.append(line)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        folder = path.rpartition("/")[0]
        self.run(f"mkdir -p {folder}; printf %s {shlex.quote(text)} >{path}; chmod {mode:o} {path}")


def start(host: Script, user: str, command: str, folder: str = "/") -> None:
    """Let a user run something that stays."""
    host.run(f"cd {folder} && setsid runuser -u {user} -- {command} </dev/null >/dev/null 2>&1 &")


def user(host: Script, name: str, home: str) -> None:
    host.run(f"id {name} >/dev/null 2>&1 || useradd -r -m -d {home} -s /bin/bash {name}")


def lay_jenkins(host: Script, home: str, config: str, job: str, mode: str) -> None:
    """Put a home of Jenkins on a host: what is in it, and who may look into it."""
    host.write(f"{home}/config.xml", config)
    host.write(f"{home}/jobs/app/config.xml", job)
    host.write(f"{home}/credentials.xml", "<?xml version='1.1'?>\n<com.cloudbees.plugins/>\n")
    for name in ("master.key", "hudson.util.Secret"):
        host.write(f"{home}/secrets/{name}", "0123456789abcdef\n")
    for name in ("secret.key", "secret.key.not-so-secret", "identity.key.enc"):
        host.write(f"{home}/{name}", "0123456789abcdef\n")
    host.run(
        f"mkdir -p {home}/workspace {home}/users && chown -R jenkins: {home} && "
        f"chmod {mode} {home} {home}/secrets"
    )


def lay_runner(host: Script, kind: str, folder: str, owner: str, said: object) -> str:
    """Put a runner on a host; return the path of its program, which sleeps."""
    mark, name = {
        "github": (".runner", "Runner.Listener"), "azure": (".agent", "Agent.Listener"),
    }[kind]  # fmt: skip
    host.write(f"{folder}/{mark}", "\ufeff" + json.dumps(said, indent=2))
    host.write(f"{folder}/.credentials", '{"scheme": "OAuth", "data": {"clientId": "1"}}\n', 0o600)
    host.write(f"{folder}/.credentials_rsaparams", '{"d": "AAAA"}\n', 0o600)
    host.write(f"{folder}/.path", "/usr/bin:/bin\n")
    host.run(
        f"mkdir -p {folder}/bin {folder}/_work && cp /bin/sleep {folder}/bin/{name} && "
        f"chown -R {owner}: {folder}"
    )
    return f"{folder}/bin/{name}"


def lay_checkout(host: Script, folder: str, config: str, days: float) -> None:
    host.write(f"{folder}/.git/config", config)
    when = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    host.run(f"touch -d {when} {folder}/.git")


def lay_buildkite(host: Script, text: str, hooks: str) -> None:
    """Put a Buildkite agent on a host, whose hooks belong to a user."""
    user(host, "buildkite-agent", "/var/lib/buildkite-agent")
    host.write("/etc/buildkite-agent/buildkite-agent.cfg", text, 0o640)
    host.write("/etc/buildkite-agent/hooks/environment", "#!/bin/sh\n", 0o755)
    host.write("/var/lib/buildkite-agent/start", "sleep 100000 & wait\n")
    host.run(
        "cp /bin/dash /usr/bin/buildkite-agent && mkdir -p /var/lib/buildkite-agent/builds && "
        "chgrp buildkite-agent /etc/buildkite-agent/buildkite-agent.cfg && "
        f"chown -R {hooks}: /etc/buildkite-agent/hooks"
    )
    start(
        host, "buildkite-agent",
        "/usr/bin/buildkite-agent start --config /etc/buildkite-agent/buildkite-agent.cfg",
        "/var/lib/buildkite-agent",
    )  # fmt: skip


def kubeconfig(group: str) -> str:
    """Return a kubeconfig whose certificate is of a group."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([
        x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, group),
        x509.NameAttribute(x509.NameOID.COMMON_NAME, "kubernetes-admin"),
    ])  # fmt: skip
    now = datetime(2026, 11, 1, tzinfo=UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name)
        .public_key(key.public_key()).serial_number(7).not_valid_before(now)
        .not_valid_after(now + timedelta(days=365)).sign(key, hashes.SHA256())
    )  # fmt: skip
    data = base64.b64encode(made.public_bytes(serialization.Encoding.PEM)).decode()
    return (
        "apiVersion: v1\nkind: Config\nclusters: []\nusers:\n- name: admin\n  user:\n"
        f"    client-certificate-data: {data}\n    client-key-data: {SECRET}\n"
    )


def builder_sound(on: OverlayHost) -> None:
    with Script(on) as host:
        user(host, "jenkins", "/var/lib/jenkins")
        config = CONFIG.format(executors=0, closed="true", port=-1, crumbs=CRUMBS)
        job = JOB.format(name="BRANCH", value="main")
        lay_jenkins(host, "/var/lib/jenkins", config, job, "700")
        host.write("/usr/share/java/jenkins.war", "PK\n")
        host.write("/opt/java/bin/java", JAVA, 0o755)
        start(
            host, "jenkins",
            "/opt/java/bin/java -Djava.awt.headless=true -DJENKINS_HOME=/var/lib/jenkins"
            " -jar /usr/share/java/jenkins.war --httpPort=18080 --httpListenAddress=127.0.0.1",
        )  # fmt: skip
        user(host, "runner", "/home/runner")
        said = {**RUNNER, "ephemeral": True}
        program = lay_runner(host, "github", "/opt/actions-runner", "runner", said)
        host.write("/opt/hooks/started.sh", "#!/bin/sh\n", 0o755)
        hook = "ACTIONS_RUNNER_HOOK_JOB_STARTED=/opt/hooks/started.sh\n"
        host.write("/opt/actions-runner/.env", f"LANG=C.UTF-8\n{hook}")
        lay_checkout(host, "/opt/actions-runner/_work/app/app", GIT, 0)
        start(host, "runner", f"{program} 100000")
        limits = (
            "allowed-repositories='^https://github.com/acme/.*$'\nno-plugins=true\n"
            "disconnect-after-job=true\n"
        )
        lay_buildkite(host, BUILDKITE.format(token=SECRET) + limits, "root")


def builder_rotten(on: OverlayHost) -> None:
    with Script(on) as host:
        user(host, "jenkins", "/srv/ci/jenkins")
        config = CONFIG.format(executors=2, closed="false", port=50000, crumbs="")
        job = JOB.format(name="DEPLOY_PASSWORD", value=SECRET)
        lay_jenkins(host, "/srv/ci/jenkins", config, job, "755")
        host.write("/srv/ci/java", JAVA, 0o755)
        host.write("/srv/ci/jenkins.war", "PK\n", 0o666)
        start(
            host, "jenkins",
            "/srv/ci/java -Dhudson.model.DirectoryBrowserSupport.CSP= "
            "-DJENKINS_HOME=/srv/ci/jenkins -jar /srv/ci/jenkins.war --httpPort=28080",
        )  # fmt: skip
        host.run("groupadd -f docker; useradd -m azp && usermod -aG docker azp")
        program = lay_runner(host, "azure", "/home/azp/agent", "azp", {"workFolder": "_work"})
        host.run("chmod 755 /home/azp && chmod 644 /home/azp/agent/.credentials*")
        start(host, "azp", f"{program} 100000")
        program = lay_runner(host, "github", "/opt/actions-runner", "root", RUNNER)
        host.write("/opt/actions-runner/.env", "RUNNER_ALLOW_RUNASROOT=1\n", 0o666)
        lay_checkout(host, "/opt/actions-runner/_work/app/app", GIT + HEADER, 40)
        start(host, "root", f"{program} 100000")
        lay_buildkite(host, BUILDKITE.format(token=SECRET), "buildkite-agent")
        host.write("/etc/kubernetes/admin.conf", kubeconfig("system:masters"), 0o600)
