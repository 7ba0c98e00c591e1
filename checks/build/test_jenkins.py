"""Jenkins controllers: who may do what, what they show, and what guards their keys."""

from __future__ import annotations

import re

from testinfra.host import Host

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.files import Files
from hullcheck.facts.jenkins.controller import KEYS, SWITCH, JenkinsHome
from hullcheck.facts.jenkins.secrets import leaks
from hullcheck.facts.jenkins.setup import Setup, setups
from hullcheck.facts.packet_filter import PacketFilter
from hullcheck.facts.processes import Processes
from hullcheck.facts.readers import readers_of
from hullcheck.facts.registry import get
from hullcheck.facts.routes import Network
from hullcheck.facts.sockets import Sockets

from .closed import expect_closed

CRUMBS_OFF = "hudson.security.csrf.GlobalCrumbIssuerConfiguration.DISABLE_CSRF_PROTECTION"
PAGES = "hudson.model.DirectoryBrowserSupport.CSP"
NO_SWITCH = (2, 326)
AGENTS_FREE = "-Djenkins.security.s2m."
SCRIPTS_FREE = "permissive-script-security.enabled"


def _setups(home: JenkinsHome) -> list[Setup]:
    found = setups(home)
    if not found:
        raise Unknown(f"{home} has no configuration yet: until it is set up, nothing guards it")
    return found


@control(
    title="Jenkins' keys and credentials are closed to all but its own user",
    severity="critical",
    fix="chmod 700 JENKINS_HOME/secrets and chmod 750 JENKINS_HOME (or 600 credentials.xml, "
    "secret.key and identity.key.enc), and chown -R jenkins: JENKINS_HOME.",
)
def test_jenkins_keys(jenkins_home: JenkinsHome) -> None:
    """master.key and hudson.util.Secret open every credential that Jenkins keeps: those of
    registries, clouds and production. Who reads them and credentials.xml needs no password; who
    writes them, or what lies beside them, is Jenkins."""
    trusted = jenkins_home.trusted
    files = jenkins_home.files(*KEYS)
    secrets = files[0]
    closed = secrets.state == "present" and not readers_of(secrets, trusted)
    within = f"{secrets.path}/"
    expect_closed(
        [
            each
            for each in files
            if not (closed and each.path.startswith(within) and each.state == "denied")
        ],
        trusted,
    )


@control(
    title="Jenkins lets nobody in who has not logged in",
    severity="critical",
    fix="In Manage Jenkins, Security: choose a security realm, no sign-up, and an authorization "
    "that grants anonymous nothing (Matrix or roles; or logged-in users, without anonymous read); "
    "the same in JCasC.",
)
def test_jenkins_access(jenkins_home: JenkinsHome) -> None:
    """A controller runs whatever its users type, on every agent, with every credential. Without
    security, with sign-up, or with rights for anonymous, anybody who reaches the page is such a
    user, or reads build logs and what leaked into them."""
    strange = []
    for each in _setups(jenkins_home):
        expect([*each.faults], equals=[], what=f"who gets in by {each.source}")
        strange += [each.strange] if each.strange else []
    if strange:
        raise Manual(f"see what {strange[0]} lets people do who have not logged in", strange)


@control(
    title="The Jenkins controller itself runs no builds",
    severity="high",
    fix="Set the number of executors of the built-in node to 0 (numExecutors in config.xml and in "
    "JCasC), and let jobs run on agents.",
)
def test_jenkins_executors(jenkins_home: JenkinsHome) -> None:
    """A job on the controller runs as Jenkins itself: it reads master.key and the credentials of
    all others, and rewrites jobs and plugins. On an agent it has only what it was given."""
    for each in _setups(jenkins_home):
        code = not each.source.endswith(".xml")
        if not (code and each.executors is None):
            # Two is what Jenkins starts with.
            said = 2 if each.executors is None else each.executors
            expect(said, equals=0, what=f"executors of the controller by {each.source}")


@control(
    title="Agents of Jenkins cannot reach into their controller",
    severity="high",
    fix="Remove JENKINS_HOME/secrets/slave-to-master-security-kill-switch and -Djenkins.security."
    "s2m… options; set the TCP port for inbound agents to Disable (slaveAgentPort -1) and use "
    "WebSocket or SSH.",
)
def test_jenkins_agents(jenkins_home: JenkinsHome) -> None:
    """Agents run foreign code and must be taken for lost. Two switches once let them read and
    write any file of the controller again, for old plugins. A TCP port for inbound agents is one
    more way in to the controller, which WebSocket does without."""
    switch = jenkins_home.files(SWITCH)[0]
    if _heeds_switch(jenkins_home) and switch.exists:
        expect(switch.text.strip().lower(), equals="false", what=f"{switch}")
    free = [each for each in jenkins_home.words if each.startswith(AGENTS_FREE)]
    expect(free, equals=[], what="options that free agents")
    for each in _setups(jenkins_home):
        if each.port is not None:
            expect(each.port, equals=-1, what=f"TCP port for agents by {each.source}")


def _heeds_switch(home: JenkinsHome) -> bool:
    """Whether this Jenkins still reads the switch: those before 2.326 do."""
    version = (home.config.value("version") if home.config else "") or ""
    numbers = re.match(r"(\d{1,4})\.(\d{1,5})", version)
    return not numbers or (int(numbers[1]), int(numbers[2])) < NO_SWITCH


@control(
    title="Jenkins' pages are guarded against forged requests and planted scripts",
    severity="high",
    fix="Leave CSRF protection, the plain-text markup formatter (or Safe HTML) and the default "
    "content security policy on: remove the named -D options, and set a crumb issuer in Security.",
)
def test_jenkins_pages(jenkins_home: JenkinsHome) -> None:
    """An administrator's browser obeys any page that it looks at. Without crumbs a foreign site
    starts jobs in his name; with raw HTML, or build results served without a content security
    policy, whoever can build plants a script that does. Groovy without the sandbox's rules is the
    controller's own code."""
    for each in _setups(jenkins_home):
        if each.crumbs is not None:
            expect(each.crumbs, equals=True, what=f"a crumb issuer in {each.source}")
        if each.raw_markup is not None:
            expect(each.raw_markup, equals=False, what=f"raw HTML by {each.source}")
    off = jenkins_home.property(CRUMBS_OFF)
    expect(str(off).lower(), one_of=("none", "false"), what="DISABLE_CSRF_PROTECTION")
    policy = jenkins_home.property(PAGES)
    weak = policy is not None and not _strict(policy)
    expect(weak, equals=False, what="a weaker content security policy for build results")
    free = jenkins_home.property(SCRIPTS_FREE)
    expect(str(free).lower(), one_of=("none", "false"), what=SCRIPTS_FREE)


def _strict(policy: str) -> bool:
    """Whether a content security policy lets no script of the page itself run."""
    parts = {words[0]: words[1:] for part in policy.lower().split(";") if (words := part.split())}
    scripts = parts.get("script-src", parts.get("default-src"))
    open_ = ("*", "'unsafe-inline'", "'unsafe-eval'", "http:", "https:", "data:")
    boxed = "sandbox" in parts and "allow-scripts" not in parts["sandbox"]
    return boxed or (scripts is not None and not {*scripts} & {*open_, "'self'"})


@control(
    title="Jenkins speaks plain HTTP to its own host only",
    severity="high",
    fix="Start it with --httpListenAddress=127.0.0.1 behind a proxy with TLS "
    "(JENKINS_LISTEN_ADDRESS in its unit), or with --httpPort=-1 and --httpsPort.",
)
def test_jenkins_http(jenkins_home: JenkinsHome) -> None:
    """Passwords, session cookies and API tokens of those who run everything pass in clear. Whoever
    is on the way reads them and is then administrator of every build."""
    agent, host = jenkins_home.running, jenkins_home.host
    processes: Processes = get(host, "processes")
    init = processes.get(1)
    if init is None or agent.process.namespace("net") != init.namespace("net"):
        raise NotApplicable("it has a network of its own; what of that is published is an engine's")
    port = jenkins_home.option("httpPort") or "8080"
    if not port.lstrip("-").isdecimal() or len(port) > 6:
        raise Unknown(f"--httpPort={port[:20]} is no port")
    sockets: Sockets = get(host, "sockets")
    mine = [each for each in sockets.tcp if each.port == int(port) and not each.loopback]
    held = [str(each) for each in mine if agent.process.pid in each.owners]
    fates = {_from_outside(host, int(port), family) for family in (4, 6)} if held else {"denied"}
    if "open" in fates:
        expect(held, equals=[], what="where it takes plain HTTP from others")
    elif "unknown" in fates:
        raise Unknown(f"cannot tell whether the packet filter shuts {', '.join(held)}")


def _from_outside(host: Host, port: int, family: int) -> str:
    """Return what becomes of what strangers send to a port: open, denied or unknown."""
    packet_filter: PacketFilter = get(host, "packet_filter")
    network: Network = get(host, "network")
    if family == 6 and not network.addresses[6]:
        return "denied"
    tcp = [each for each in packet_filter.strangers_at(port, family, network)
           if each.protocol == "tcp"]  # fmt: skip
    return packet_filter.worst(tcp, network).verdict


@control(
    title="No secret stands in clear in Jenkins' jobs and settings",
    severity="high",
    fix="Put the secret into Jenkins' credentials and bind it in the job (withCredentials, secret "
    "parameters); then replace it where it was in use, for it has been read.",
)
def test_jenkins_secrets(jenkins_home: JenkinsHome, files: Files) -> None:
    """Whoever may configure or read a job, restore a backup or look over a shoulder has what stands
    in its XML. Jenkins encrypts what it knows to be a secret; a default of a text parameter, a
    variable or a line of a script it keeps as it was typed."""
    found, hidden = leaks(jenkins_home.host, jenkins_home.folder)
    shown = sorted({f"{each} ({each.length} characters)" for each in found})
    expect(shown, equals=[], what="secrets in clear")
    for each in files.all([f"{jenkins_home.folder}/config.xml"]):
        if not each.exists and not found:
            raise NotApplicable(f"{jenkins_home} has not been set up yet")
    if hidden:
        raise Unknown(f"not all of {jenkins_home} could be read: {hidden}; it may need root")
