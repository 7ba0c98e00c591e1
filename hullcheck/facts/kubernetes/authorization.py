"""Whom a kube-apiserver asks whether a request is allowed: flags, or an AuthorizationConfiguration.

Kubernetes, "Authorization"; pkg/kubeapiserver/options/authorization.go: the file and the flags
exclude each other; with neither everything is allowed. By flags, a webhook that does not answer
has no opinion. A changed file is taken over if it has the same kinds as before beside webhooks
(LoadAndValidateFile in pkg/kubeapiserver/authorizer/config.go).
"""

from __future__ import annotations

from dataclasses import dataclass

from hullcheck.facts.foreign_yaml import at, items, text
from hullcheck.facts.kubernetes.api_files import config, named, plugin_config
from hullcheck.facts.kubernetes.components import Component
from hullcheck.inventory.document import Node

__all__ = ["ALWAYS", "Authorizer", "authorizers", "webhook_kubeconfigs"]

ALWAYS, WEBHOOK = "AlwaysAllow", "Webhook"


@dataclass(frozen=True, slots=True)
class Authorizer:
    """One of those that are asked, in their order.

    :param failure: what a webhook's silence means: Deny, or NoOpinion: the next one is asked.
    :param kubeconfig: how a webhook is reached.
    """

    kind: str
    name: str = ""
    failure: str = ""
    kubeconfig: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip()


def authorizers(component: Component, *, reloaded: bool = False) -> list[Authorizer]:
    """Return the authorizers in order.

    :param reloaded: only webhooks are asked for, so that a changed file counts.
    :raises Unknown: the file cannot be read, or is not what the component read.
    """
    kind = "AuthorizationConfiguration"
    chain = config(component, "authorization-config", kind, reloaded=reloaded)
    if chain is not None:
        return [_authorizer(each) for each in items(at(chain, "authorizers"))]
    modes = component.flags.listed("authorization-mode")
    kubeconfig = named(component, "authorization-webhook-config-file") or ""
    return [
        Authorizer(each, "", "NoOpinion", kubeconfig) if each == WEBHOOK else Authorizer(each)
        for each in modes or (ALWAYS,)
    ]


def _authorizer(said: Node) -> Authorizer:
    webhook = at(said, "webhook")
    return Authorizer(
        text(at(said, "type")),
        text(at(said, "name")),
        text(at(webhook, "failurePolicy")),
        text(at(webhook, "connectionInfo", "kubeConfigFile")),
    )


def webhook_kubeconfigs(component: Component) -> list[str]:
    """Return the kubeconfigs of all webhooks that a component asks or tells.

    :raises Unknown: a file that may name one cannot be read.
    """
    flags = ("authentication-token-webhook-config-file", "audit-webhook-config-file")
    found = [named(component, each) for each in flags]
    found += [each.kubeconfig for each in authorizers(component, reloaded=True)]
    policy = plugin_config(component, "ImagePolicyWebhook")
    found.append(text(at(policy, "imagePolicy", "kubeConfigFile")))
    return list(dict.fromkeys(each for each in found if each))
