"""What the API server makes sure of before it takes an object."""

from __future__ import annotations

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.foreign_yaml import at, items, text, texts
from hullcheck.facts.kubernetes.admission import plugins
from hullcheck.facts.kubernetes.api_files import plugin_config
from hullcheck.facts.kubernetes.components import Component

STANDARDS = ("baseline", "restricted")


def _on(component: Component, name: str) -> None:
    shown = "on" if name in plugins(component) else "off"
    expect(shown, equals="on", what=f"the admission plug-in {name}")


@control(
    title="A kubelet cannot change other nodes or give itself other labels",
    severity="high",
    fix="Add NodeRestriction to --enable-admission-plugins.",
)
def test_api_node_restriction(api_server: Component) -> None:
    """The Node authorizer bounds what a kubelet reads; this plug-in bounds what it writes: its own
    Node and pods. Without it a broken node can draw other nodes' pods, with their secrets, to
    itself. It is off unless it is named."""
    _on(api_server, "NodeRestriction")


@control(
    title="Nothing new can be put into a namespace that is going away",
    severity="low",
    fix="Take NamespaceLifecycle out of --disable-admission-plugins.",
)
def test_api_namespace_lifecycle(api_server: Component) -> None:
    """The plug-in also keeps default, kube-system and kube-public from being deleted, and refuses
    objects in namespaces that do not exist, where no rule and no quota would hold them."""
    _on(api_server, "NamespaceLifecycle")


@control(
    title="Each pod has a service account that it may have",
    severity="medium",
    fix="Take ServiceAccount out of --disable-admission-plugins.",
)
def test_api_service_account_admission(api_server: Component) -> None:
    """The plug-in gives a pod its account and its token, and refuses accounts that do not exist
    and, where an account says so, secrets that are not its own."""
    _on(api_server, "ServiceAccount")


@control(
    title="No plug-in takes whatever comes",
    severity="low",
    fix="Take AlwaysAdmit out of --enable-admission-plugins.",
)
def test_api_always_admit(api_server: Component) -> None:
    """AlwaysAdmit looks at nothing. It has had no use for years, and where it is found somebody
    once wanted the checks out of the way."""
    expect(plugins(api_server), without=("AlwaysAdmit",), what="the list of admission plug-ins")


@control(
    title="Images are pulled with the credentials of the pod that runs them",
    severity="medium",
    level=2,
    fix="Add AlwaysPullImages to --enable-admission-plugins; registries must then answer whenever "
    "a pod starts.",
)
def test_api_always_pull_images(api_server: Component) -> None:
    """A private image that one team's pod has brought to a node can be run there by anybody who
    knows its name, with no credentials at all, unless the node must ask the registry each time."""
    _on(api_server, "AlwaysPullImages")


@control(
    title="No client can flood the API server with events",
    severity="low",
    level=2,
    fix="Add EventRateLimit to --enable-admission-plugins, and its limits to the file of "
    "--admission-control-config-file.",
)
def test_api_event_rate_limit(api_server: Component) -> None:
    """Events are small, and any pod's token may be allowed to write them. Enough of them fill etcd
    and hide what matters."""
    _on(api_server, "EventRateLimit")


@control(
    title="Services cannot claim addresses outside the cluster",
    severity="medium",
    fix="Add DenyServiceExternalIPs to --enable-admission-plugins.",
)
def test_api_external_ips(api_server: Component) -> None:
    """Whoever may create a Service can put any address into externalIPs, and every node sends what
    goes there to pods of theirs: traffic of others is read on its way (CVE-2020-8554)."""
    _on(api_server, "DenyServiceExternalIPs")


@control(
    title="The standards for pods are enforced where a namespace asks for it",
    severity="high",
    fix="Take PodSecurity out of --disable-admission-plugins, and PodSecurity=false out of "
    "--feature-gates.",
)
def test_api_pod_security(api_server: Component) -> None:
    """Labels on namespaces say which pods may run there. With the plug-in off they are still
    there, and mean nothing: whoever may create a pod may create one that owns the node."""
    _on(api_server, "PodSecurity")
    gate = api_server.flags.pairs("feature-gates").get("PodSecurity", "true")
    expect(gate.lower(), one_of=("true", "1", "t"), what="the feature gate PodSecurity")


@control(
    title="Pods are held to a standard in namespaces that do not choose one",
    severity="high",
    level=2,
    fix="In the file of --admission-control-config-file give PodSecurity the default enforce: "
    "baseline, exempt kube-system by namespace, and nobody who is called system:….",
)
def test_api_pod_security_default(api_server: Component) -> None:
    """Without a word, a namespace allows privileged pods, and every new one begins so. An exempt
    user of Kubernetes' own, such as a controller of its, exempts everybody who can make it create
    pods."""
    if "PodSecurity" not in plugins(api_server):
        raise NotApplicable("the plug-in is off, of which another control tells")
    found = plugin_config(api_server, "PodSecurity")
    level = text(at(found, "defaults", "enforce")) or "privileged"
    expect(level, one_of=STANDARDS, what="the standard where a namespace names none")
    exempt = texts(at(found, "exemptions", "usernames"))
    own = [each for each in exempt if each.startswith("system:")]
    expect(own, equals=[], what="users of Kubernetes itself that are exempt")


@control(
    title="No image runs because nobody could be asked about it",
    severity="medium",
    fix="Set defaultAllow: false in the configuration of ImagePolicyWebhook.",
)
def test_api_image_policy(api_server: Component) -> None:
    """Whoever can make the webhook fail, or wait until it does, runs what it would have refused."""
    if "ImagePolicyWebhook" not in plugins(api_server):
        raise NotApplicable("ImagePolicyWebhook is not used")
    found = at(plugin_config(api_server, "ImagePolicyWebhook"), "imagePolicy")
    allowed = [text(each) for each in items(at(found, "defaultAllow"))]
    expect(allowed, without=("true",), what="defaultAllow")
