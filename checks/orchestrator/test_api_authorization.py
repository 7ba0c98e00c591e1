"""Whom the API server asks whether a request is allowed."""

from __future__ import annotations

from urllib.parse import urlsplit

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.foreign_yaml import at, items, text
from hullcheck.facts.kubernetes.api_files import kubeconfig
from hullcheck.facts.kubernetes.authorization import (
    ALWAYS,
    WEBHOOK,
    authorizers,
    webhook_kubeconfigs,
)
from hullcheck.facts.kubernetes.components import Component
from hullcheck.inventory.document import Node


def _kinds(component: Component) -> list[str]:
    return [each.kind for each in authorizers(component)]


@control(
    title="The API server does not allow every request",
    severity="critical",
    fix="Set --authorization-mode=Node,RBAC, or take AlwaysAllow out of the file of "
    "--authorization-config.",
)
def test_api_always_allow(api_server: Component) -> None:
    """With AlwaysAllow among those who are asked, whoever gets in may do everything: any pod with
    its token, any kubelet. It is also what an API server does that is told nothing."""
    kinds = _kinds(api_server)
    expect(kinds, without=(ALWAYS,), what="the list of authorizers")
    expect(bool(kinds), equals=True, what="whether anybody is asked")


@control(
    title="Kubelets may touch only what belongs to their own node",
    severity="high",
    fix="Put Node before RBAC in --authorization-mode, or in the file of --authorization-config.",
)
def test_api_node_authorizer(api_server: Component) -> None:
    """The Node authorizer gives a kubelet the secrets of pods on its node and no others. Without
    it nodes need a role that reads all of them, and one broken node has the whole cluster's."""
    expect(_kinds(api_server), contains="Node", what="the list of authorizers")


@control(
    title="Rights in the cluster are given by roles",
    severity="high",
    fix="Add RBAC to --authorization-mode, or to the file of --authorization-config.",
)
def test_api_rbac_authorizer(api_server: Component) -> None:
    """Roles can be read, bounded to a namespace and audited through the API itself, and nobody can
    grant what they do not have. Whatever stands in their place has none of that."""
    expect(_kinds(api_server), contains="RBAC", what="the list of authorizers")


@control(
    title="No file on the node gives rights in the cluster past its roles",
    severity="medium",
    fix="Turn the lines of --authorization-policy-file into roles and bindings, and take ABAC out "
    "of the authorizers.",
)
def test_api_abac(api_server: Component) -> None:
    """The lines of an ABAC file grant what no role shows, to the API's users invisibly, and change
    only with a restart. They were often written for everybody."""
    expect(_kinds(api_server), without=("ABAC",), what="the list of authorizers")


@control(
    title="A webhook that is to forbid is not passed over when it does not answer",
    severity="medium",
    level=2,
    fix="Set failurePolicy: Deny for the webhook in the file of --authorization-config; flags "
    "alone cannot say so.",
)
def test_api_webhook_failure(api_server: Component) -> None:
    """With NoOpinion the next authorizer decides if the webhook fails. That is right for one that
    grants; one that stands in front to forbid can be got round by whoever can make it fail."""
    chain = authorizers(api_server, reloaded=True)
    if all(each.kind != WEBHOOK for each in chain):
        raise NotApplicable("no webhook is asked")
    last = max((place for place, each in enumerate(chain) if each.kind != WEBHOOK), default=-1)
    loose = [each for each in chain[: max(last, 0)] if each.kind == WEBHOOK]
    before = [str(each) for each in loose if each.failure != "Deny"]
    expect(before, equals=[], what="webhooks before others that are passed over in silence")


@control(
    title="What the API server asks and tells goes to verified servers only",
    severity="critical",
    fix="In the webhook's kubeconfig use an https server and certificate-authority, and remove "
    "insecure-skip-tls-verify.",
)
def test_api_webhook_tls(api_server: Component) -> None:
    """Who can pose as the webhook that says who somebody is or what they may do is the cluster's
    administrator; the audit webhook is told every request. Only a verified certificate tells the
    real one."""
    paths = webhook_kubeconfigs(api_server)
    if not paths:
        raise NotApplicable("the API server asks and tells nobody outside")
    for path in paths:
        for name, server, insecure in _clusters(kubeconfig(api_server, path)):
            scheme = urlsplit(server).scheme if "://" in server else "http"
            shown = "unverified" if insecure or scheme != "https" else "verified"
            expect(
                shown, equals="verified", what=f"the server of {name or 'the cluster'} in {path}"
            )


def _clusters(config: Node) -> list[tuple[str, str, bool]]:
    """Return name, server and whether it is not verified, of the cluster in use, or of all."""
    used = text(at(config, "current-context"))
    context = [each for each in items(at(config, "contexts")) if text(at(each, "name")) == used]
    wanted = text(at(context[0], "context", "cluster")) if context else ""
    found = []
    for each in items(at(config, "clusters")):
        skip = at(each, "cluster", "insecure-skip-tls-verify")
        server = text(at(each, "cluster", "server"))
        found.append((text(at(each, "name")), server, text(skip).lower() == "true"))
    return [each for each in found if each[0] == wanted] or found or [("", "", True)]
