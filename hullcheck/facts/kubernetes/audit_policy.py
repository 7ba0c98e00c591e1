"""What the audit policy of a kube-apiserver lets be logged, rule by rule.

apiserver/pkg/audit/policy/checker.go: the first rule that fits decides; where none does, nothing is
logged. ``pods`` is not ``pods/exec``. A rule that names users, namespaces or names of objects fits
some requests of a kind and not others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from hullcheck.control import Unknown
from hullcheck.facts.foreign_yaml import at, items, text, texts
from hullcheck.facts.kubernetes.api_files import config
from hullcheck.facts.kubernetes.components import Component
from hullcheck.inventory.document import Node

__all__ = ["NONE", "Policy", "Request", "audit_policy"]

NONE = "None"
LEVELS = (NONE, "Metadata", "Request", "RequestResponse")

PROXY = "system:kube-proxy"
COMPONENTS = frozenset({
    PROXY, "system:apiserver", "system:kube-controller-manager", "system:kube-scheduler",
    "system:volume-scheduler", "system:nodes", "system:unsecured",
})  # fmt: skip
"""Users and groups that are parts of Kubernetes: their own reading is noise to many."""

READS = frozenset({"get", "list", "watch"})


class Request(NamedTuple):
    """A kind of request: a verb on a resource, with its subresource after a slash."""

    verb: str
    resource: str
    group: str = ""

    def __str__(self) -> str:
        return f"{self.verb} {self.resource}{f'.{self.group}' if self.group else ''}"


@dataclass(frozen=True, slots=True)
class Rule:
    """:param some: it fits only some requests of a kind.

    :param people: the users and groups it is about; none is all.

    :param resources: (group, resources); None: it fits any.
    """

    level: str
    line: int
    verbs: frozenset[str]
    resources: tuple[tuple[str, tuple[str, ...]], ...] | None
    some: bool
    people: frozenset[str]
    omitted: frozenset[str]

    def fits(self, request: Request) -> bool:
        """Whether it fits requests of a kind, or some of them."""
        if self.verbs and request.verb not in self.verbs:
            return False
        return self.resources is None or any(
            group == request.group and (not names or any(_same(each, request) for each in names))
            for group, names in self.resources
        )


def _same(said: str, request: Request) -> bool:
    resource, _, part = request.resource.partition("/")
    ways = {request.resource, "*", f"{resource}/*"} | ({f"*/{part}"} if part else set())
    return said in ways


@dataclass(frozen=True, slots=True)
class Policy:
    rules: tuple[Rule, ...]

    def levels(self, request: Request) -> Iterator[Rule]:
        """Yield the rules that decide requests of a kind, up to the first that fits all."""
        for rule in self.rules:
            if rule.fits(request):
                yield rule
                if not rule.some:
                    return
        yield Rule(NONE, 0, frozenset(), None, False, frozenset(), frozenset())

    def unlogged(self, request: Request) -> bool:
        """Whether requests of a kind may leave no trace: those of Kubernetes itself aside, if they
        read no secrets, and those of kube-proxy, which may do no more."""
        reads = request.verb in READS and request.resource != "secrets"
        for rule in self.levels(request):
            own = bool(rule.people) and (rule.people <= (COMPONENTS if reads else {PROXY}))
            ends = {"ResponseComplete", "RequestReceived"} <= rule.omitted
            if (rule.level == NONE or ends) and not own:
                return True
        return False


def audit_policy(component: Component) -> Policy | None:
    """Return the policy of a component; None without one: nothing is logged then.

    :raises Unknown: it cannot be read, or a level is none.
    """
    found = config(component, "audit-policy-file", "Policy")
    if found is None:
        return None
    everywhere = texts(at(found, "omitStages"))
    rules = (_rule(each, everywhere) for each in items(at(found, "rules")))
    return Policy(tuple(each for each in rules if each is not None))


def _rule(said: Node, omitted: list[str]) -> Rule | None:
    """Return a rule; None for one of paths, which fits no request for a resource."""
    level = text(at(said, "level"))
    if level not in LEVELS:
        raise Unknown(f"line {said.line}: there is no level {level[:40]!r}")
    people = texts(at(said, "users")) + texts(at(said, "userGroups"))
    spaces = items(at(said, "namespaces"))
    resources = items(at(said, "resources"))
    if items(at(said, "nonResourceURLs")) and not spaces and not resources:
        return None
    names = any(items(at(each, "resourceNames")) for each in resources)
    return Rule(
        level,
        said.line,
        frozenset(texts(at(said, "verbs"))),
        tuple((text(at(each, "group")), tuple(texts(at(each, "resources")))) for each in resources)
        or None,
        bool(people or spaces or names),
        frozenset(people),
        frozenset([*omitted, *texts(at(said, "omitStages"))]),
    )
