"""What of others' runs in pipelines, and what strangers can make them do."""

from __future__ import annotations

import re

from hullcheck.control import Manual, NotApplicable, Unknown, control, expect
from hullcheck.facts.build_files.included import COMMIT, included
from hullcheck.facts.build_files.pipelines import GITHUB, Pipeline
from hullcheck.facts.build_files.workflows import (
    FOREIGN,
    injected,
    jobs,
    takes_foreign_code,
    triggers,
    unclear_code,
)
from hullcheck.facts.foreign_yaml import at, text
from hullcheck.inventory.policy import Policy

from .pins import by_no_digest


@control(
    title="What pipelines include from elsewhere is of one certain version",
    severity="high",
    fix="Pin it: ref: with a commit for include:project, integrity: for include:remote, a whole "
    "version for components, orbs, plugins and pipes, a tag as ref for repositories.",
)
def test_pipeline_includes(pipeline: Pipeline) -> None:
    """What is included runs with the secrets of the pipeline. Of a branch, or of a URL, its owner,
    or whoever breaks in there, decides every day anew what that is."""
    parts = included(pipeline)
    if not parts:
        raise NotApplicable("it includes nothing from elsewhere")
    found = [f"line {each.number}: {each.what}" for each in parts if not each.pinned]
    expect(found, equals=[], what="parts of no certain version")


@control(
    title="Actions of third parties are pinned by commit",
    severity="high",
    fix="Write the commit in place of the tag (uses: OWNER/NAME@40-DIGITS # v4.2.0) and let "
    "Dependabot or Renovate raise it; the policy's action_owners names owners who need none.",
)
def test_pipeline_pinned_actions(pipeline: Pipeline, policy: Policy) -> None:
    """An action has the job's token and secrets. Its owner, or whoever takes over the owner's
    account, can move a tag to other code: tj-actions/changed-files printed the secrets of 23,000
    repositories into their logs in 2025 so (CVE-2025-30066). A commit cannot be moved."""
    _judge(pipeline, [each for each in _parts(pipeline) if _owner(each[0]) not in
                      policy.action_owners])  # fmt: skip


@control(
    title="All actions are pinned by commit",
    severity="low",
    level=2,
    fix="Write the commit in place of the tag for actions of trusted owners too "
    "(uses: actions/checkout@40-DIGITS # v4.2.2).",
)
def test_pipeline_pinned_trusted_actions(pipeline: Pipeline, policy: Policy) -> None:
    """A tag of GitHub's own actions, or of an owner that the site trusts, can be moved by whoever
    gets hold of one account there, as that of a third party can; there are only fewer of them."""
    _judge(pipeline, [each for each in _parts(pipeline) if _owner(each[0]) in
                      policy.action_owners])  # fmt: skip


def _parts(pipeline: Pipeline) -> list[tuple[str, int]]:
    if pipeline.kind not in (*GITHUB, "action"):
        raise NotApplicable("only workflows of GitHub, Gitea and Forgejo use actions")
    return pipeline.uses


def _judge(pipeline: Pipeline, parts: list[tuple[str, int]]) -> None:
    if not parts:
        raise NotApplicable("it uses none")
    found = [f"line {number}: {name}" for name, number in parts if not _pinned(name)]
    expect(found, equals=[], what="actions that can be moved")


def _owner(name: str) -> str:
    if name.startswith("docker://"):
        return ""
    return re.sub(r"^https?://[^/]+/", "", name).partition("/")[0].lower()


SLSA = re.compile(r"slsa-framework/slsa-github-generator/\S+@v\d+\.\d+\.\d+")
"""What these make can only be verified if they are called by a tag, as their documentation says."""


def _pinned(name: str) -> bool:
    if name.startswith("docker://"):
        return not by_no_digest(name)
    if SLSA.fullmatch(name):
        return True
    return COMMIT.fullmatch(name.rpartition("@")[2]) is not None


@control(
    title="No workflow with the repository's rights runs a stranger's code",
    severity="critical",
    fix="Take pull_request in place of pull_request_target, or leave the checkout of the pull "
    "request's head out; let a second workflow with rights only read results as data.",
)
def test_pipeline_foreign_code(pipeline: Pipeline) -> None:
    """pull_request_target and workflow_run run for anybody's pull request, and with the secrets and
    the write token of the repository. One that checks out the pull request's own code and then
    builds or tests that has given both to a stranger; so have runners on this host."""
    if pipeline.kind not in GITHUB:
        raise NotApplicable("only workflows of GitHub, Gitea and Forgejo have such events")
    events = triggers(pipeline) & FOREIGN
    if not events:
        raise NotApplicable(
            "no event starts it that a stranger causes with the repository's rights"
        )
    found = list(takes_foreign_code(pipeline))
    guarded = [told for job, told in found if job.environment]
    bare = [told for job, told in found if not job.environment]
    if expect(bare, equals=[], what=f"on {', '.join(sorted(events))}") and guarded:
        raise Manual("see that the jobs' environments wait for a reviewer", guarded)
    unclear = list(unclear_code(pipeline))
    if unclear and not found:
        raise Unknown(f"whose code that is cannot be told from the file: {unclear[0]}")


@control(
    title="No script of a pipeline is written in part by strangers",
    severity="high",
    fix="Give the value as a variable (env: TITLE: ${{ github.event.issue.title }}) and use that "
    'in the script in quotes: "$TITLE".',
)
def test_pipeline_injection(pipeline: Pipeline) -> None:
    """An expression is put into a script before a shell reads it. A title, a branch or a commit's
    message with a quote and a semicolon in it is then a command, run with the job's secrets, and
    anybody can open an issue or a pull request with such a title."""
    if pipeline.kind not in (*GITHUB, "action", "azure", "drone", "woodpecker"):
        raise NotApplicable("its service puts nothing into scripts but by variables")
    found = sorted(set(injected(pipeline)))
    expect(found, equals=[], what="put into scripts")


@control(
    title="Workflows say what their token may do, and hand on no more",
    severity="medium",
    fix="Write permissions: contents: read at the workflow's top and what single jobs need beside "
    "it there; name the secrets of reusable workflows instead of secrets: inherit.",
)
def test_pipeline_permissions(pipeline: Pipeline) -> None:
    """Where a workflow says nothing, its token may do what the repository's or the organisation's
    settings give, which for old ones is to write nearly everything. Any step that was taken over
    then can push code and publish releases. secrets: inherit gives all secrets to another's
    workflow."""
    if pipeline.kind != "github":
        raise NotApplicable("only GitHub's workflows say this")
    general = [at(document, "permissions") for document in pipeline.documents]
    told = any(each is not None for each in general)
    called = triggers(pipeline) == {"workflow_call"}
    found = [f"line {each.line}: write-all" for each in general if each and _all(text(each))]
    for job in jobs(pipeline):
        own = at(job.node, "permissions")
        if own is None and not told and not called:
            found.append(f"job {job.name}: says nothing")
        elif own is not None and _all(text(own)):
            found.append(f"job {job.name}: write-all")
        if job.uses and not job.uses.startswith("./") and text(at(job.node, "secrets")):
            found.append(f"job {job.name}: secrets: inherit for {job.uses}")
    if not jobs(pipeline):
        raise NotApplicable("it has no jobs")
    expect(found, equals=[], what="rights")


def _all(value: str) -> bool:
    return value.strip().lower() == "write-all"
