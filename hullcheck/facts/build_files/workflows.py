"""What GitHub's workflows (and those of Gitea and Forgejo) do on behalf of whom.

Sources: docs.github.com, events that trigger workflows, secure use reference; GitHub Security Lab,
preventing pwn requests; docs.drone.io, substitution; Azure, variables (macro syntax).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from hullcheck.facts.build_files.pipelines import GITHUB, Pipeline
from hullcheck.facts.foreign_yaml import at, items, keys, text, texts
from hullcheck.inventory.document import Node

__all__ = ["FOREIGN", "Job", "injected", "jobs", "takes_foreign_code", "triggers",
           "unclear_code"]  # fmt: skip

FOREIGN = frozenset({"pull_request_target", "workflow_run"})
"""Events that strangers cause, and whose workflows have the repository's own rights."""

HARMLESS = frozenset({"pull_request", "pull_request_review", "pull_request_review_comment",
                      "merge_group"})  # fmt: skip
"""Events of which a stranger's workflow has no rights, or whose text can't be a stranger's."""

_EXPRESSION = re.compile(r"\$\{\{((?:(?!\$\{\{|\}\}).){0,2000})\}\}", re.DOTALL)
_TOLD = re.compile(
    r"\b(?:github|gitea|forgejo|forge)\.(?:head_ref\b|event\.(?:"
    r"(?:issue|pull_request|discussion)\.(?:title|body)\b"
    r"|(?:comment|review|review_comment)\.body\b"
    r"|pages\.[\w*.]{0,40}page_name|(?:head_commit|commits\.[\w*]{1,20}|workflow_run\.head_commit)"
    r"\.(?:message|author\.(?:email|name))"
    r"|pull_request\.head\.(?:ref|label|repo\.default_branch)\b|workflow_run\.head_branch\b"
    r"|workflow_run\.pull_requests))"
)
_ASKED = re.compile(r"\b(?:contains|startsWith|endsWith|hashFiles)\((?:[^()]|\([^()]*\))*\)")
_MACROS = {
    "azure": re.compile(
        r"\$\((?:Build\.SourceVersionMessage|Build\.SourceBranch(?:Name)?|Build\.RequestedFor"
        r"|System\.PullRequest\.SourceBranch(?:Name)?)\)"
    ),
    "drone": re.compile(
        r"(?<!\$)\$\{DRONE_(?:COMMIT_MESSAGE|PULL_REQUEST_TITLE|SOURCE_BRANCH|COMMIT_AUTHOR\w*"
        r"|TAG|COMMIT_BRANCH)\b[^}]*\}"
    ),
    "woodpecker": re.compile(
        r"(?<!\$)\$\{CI_(?:COMMIT_MESSAGE|COMMIT_SOURCE_BRANCH|COMMIT_AUTHOR\w*"
        r"|COMMIT_PULL_REQUEST_LABELS)\b[^}]*\}"
    ),
}
"""What other services put into scripts before a shell reads them."""

_HEAD = re.compile(
    r"github\.event\.pull_request\.head|github\.head_ref|github\.event\.workflow_run\.head_"
    r"|refs/pull/|pull_request\.merge_commit_sha|github\.event\.number\b.{0,100}merge"
)
_SAFE = re.compile(
    r"\$\{\{\s*(?:github\.(?:sha|ref|ref_name|base_ref|repository)"
    r"|github\.event\.(?:pull_request\.base\.[\w.]+|repository\.[\w.]+)|vars\.\w+)\s*\}\}"
)
"""What of such an event is the repository's own."""
_FETCHES = re.compile(
    r"\bgh\s+pr\s+checkout\b|\bgit\s+(?:fetch|pull)\b[^\n]{0,200}\bpull/"
    r"|\bgit\s+(?:checkout|switch|merge)\b[^\n]{0,200}github\.(?:event\.pull_request\.head|head_ref)"
)
_OWN_ONLY = re.compile(
    r"head\.repo\.full_name\s*==|==\s*github\.event\.pull_request\.head\.repo\.full_name"
    r"|!\s*github\.event\.pull_request\.head\.repo\.fork|head\.repo\.fork\s*(?:==\s*false|!=\s*true)"
    r"|workflow_run\.event\s*==\s*'(?:push|schedule|workflow_dispatch|release)'"
    r"|head_repository\.full_name\s*=="
    r"|event_name\s*==\s*'(?:push|schedule|workflow_dispatch|release|merge_group)'"
    r"|event_name\s*!=\s*'(?:pull_request_target|workflow_run)'"
)
"""Conditions under which no stranger's code comes."""


@dataclass(frozen=True, slots=True)
class Job:
    """:param uses: the reusable workflow that it is, or empty."""

    name: str
    node: Node = field(repr=False)

    @property
    def uses(self) -> str:
        return text(at(self.node, "uses"))

    @property
    def steps(self) -> list[Node]:
        return items(at(self.node, "steps"))

    @property
    def environment(self) -> str:
        node = at(self.node, "environment")
        return text(node) or text(at(node, "name"))

    def condition(self, step: Node) -> str:
        return f"{text(at(self.node, 'if'))} {text(at(step, 'if'))}"


def triggers(pipeline: Pipeline) -> frozenset[str]:
    """Return the events that start a workflow."""
    found: set[str] = set()
    for document in pipeline.documents:
        node = at(document, "on")
        found |= set(keys(node)) or set(texts(node))
    return frozenset(found)


def jobs(pipeline: Pipeline) -> list[Job]:
    return [
        Job(name, node)
        for document in pipeline.documents
        for name, node in keys(at(document, "jobs")).items()
    ]


def takes_foreign_code(pipeline: Pipeline) -> Iterator[tuple[Job, str]]:
    """Yield each job that checks out what a stranger wrote, and where it does."""
    for job in jobs(pipeline):
        for step in job.steps:
            if _OWN_ONLY.search(job.condition(step)):
                continue
            given = _checked_out(step)
            if _HEAD.search(given):
                yield job, f"job {job.name}, line {step.line}: checkout of {given}"
            elif _FETCHES.search(text(at(step, "run"))):
                yield job, f"job {job.name}, line {step.line}: fetches the pull request"


def unclear_code(pipeline: Pipeline) -> Iterator[str]:
    """Yield each checkout of what cannot be told from the file: another step or input says it."""
    for job in jobs(pipeline):
        given = " ".join(text(each) for each in keys(at(job.node, "with")).values())
        if job.uses and _HEAD.search(given) and not _OWN_ONLY.search(job.condition(job.node)):
            yield f"job {job.name}: {job.uses} with {given}"
        for step in job.steps:
            given = _checked_out(step)
            unknown = "${{" in _SAFE.sub("", given) and not _HEAD.search(given)
            if unknown and not _OWN_ONLY.search(job.condition(step)):
                yield f"job {job.name}, line {step.line}: checkout of {given}"


def _checked_out(step: Node) -> str:
    """Return what a step has checked out, if it is one that does, and says it."""
    action = text(at(step, "uses")).partition("@")[0].lower()
    if not action.endswith("actions/checkout"):
        return ""
    return " ".join(text(at(step, "with", each)) for each in ("ref", "repository")).strip()


def injected(pipeline: Pipeline) -> Iterator[str]:
    """Yield what strangers wrote and a script gets as if it were a part of it."""
    if pipeline.kind in _MACROS:
        for script in pipeline.scripts:
            for found in _MACROS[pipeline.kind].findall(script.text):
                yield f"line {script.number}: {found}"
        return
    if pipeline.kind in GITHUB and triggers(pipeline) and triggers(pipeline) <= HARMLESS:
        return
    for place in pipeline.places:
        scripted = place.key == "script" and place.path[-2:-1] == ("with",)
        if place.key == "run" or scripted:
            for expression in _EXPRESSION.findall(text(place.node)):
                left = _ASKED.sub("", expression)
                found = _TOLD.search(left)
                if found and not re.search(r"[=!]=(?!.*(?:&&|\|\|))", left):
                    yield f"line {place.node.line}: {found[0]}"
