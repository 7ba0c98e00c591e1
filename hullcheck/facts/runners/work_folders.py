"""What jobs left where they worked: checkouts, their age, and credentials that git keeps there.

GitHub's and Azure's ``_work``, Jenkins' ``workspace``, Buildkite's and GitLab's ``builds``. Of a
``.git/config`` (git-config(1)) the host tells of what kind a credential in it is, never what it is:
an ``extraheader`` that actions/checkout and Azure's checkout leave, a password or token in a URL.
That of GitLab's own job token is left out: it ends with its job.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.jenkins.controller import JenkinsHome
from hullcheck.facts.registry import Unseen, fact, get, provide_each
from hullcheck.facts.runners.agents import BuildAgent
from hullcheck.facts.runners.buildkite import BuildkiteAgent
from hullcheck.facts.runners.folders import RunnerFolder
from hullcheck.transport import Answer, CannotAnswer, Want, session_of, want
from hullcheck.verdict import Object

__all__ = ["Kept", "WorkFolder", "parse_work", "work_folder", "work_want"]

SECONDS = 30
BYTES = 3_000_000
DEPTH = 9
"""GitLab: builds/TOKEN/0/GROUP/SUBGROUP/PROJECT/.git, and what is in it."""

END = "\n//\n"
GITLAB_HOME = "/home/gitlab-runner"

_AWK = r"""
function tell(kind) { printf "0 %s %s\n//\n", kind, FILENAME }
function user(t) {
    if (!match(t, /:\/\/[^\/@ \t"]*@/)) return
    t = substr(t, RSTART + 3, RLENGTH - 4)
    if (t ~ /^gitlab-ci-token:/) return
    if (t ~ /:./) tell("password"); else if (length(t) > 19) tell("token")
}
{ low = tolower($0) }
low ~ /^[ \t]*extraheader[ \t]*=.*authorization/ { tell("header") }
low ~ /^[ \t]*((push)?url|insteadof)[ \t]*=/ || low ~ /^[ \t]*\[url/ { user($0) }
"""
_SKIPPED = " -o ".join(f"-path '*/.git/{name}'" for name in ("objects", "logs", "refs", "hooks"))
_CONFIGS = (
    "-path '*/.git/config' -o -path '*/.git/modules/*/config' -o -name 'git-credentials-*.config'"
)


def work_want(folder: str) -> Want:
    """Return the want for the checkouts below a folder."""
    return want(
        f"{{ timeout {SECONDS} find -H %s -mindepth 1 -maxdepth {DEPTH}"
        f" \\( -name node_modules -o {_SKIPPED} \\) -prune"
        " -o -name .git -exec stat -c '%%Y checkout %%n\n//' -- {} +"
        f" -o -type f \\( {_CONFIGS} \\) -exec awk '{_AWK.replace('%', '%%')}' {{}} +;"
        f" printf 'end %%s\n//\n' $?; }} | head -c {BYTES}",
        folder, seconds=SECONDS + 10,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Kept:
    """One thing that was left.

    :param kind: checkout, or of a credential: header, password, token.
    :param time: of a checkout, when git last worked in it; seconds since the epoch.
    """

    kind: str
    path: str
    time: int


_RECORD = re.compile(r"(\d+) (checkout|header|password|token) (/.*)", re.DOTALL)
_ABSENT = ("No such file or directory", "Not a directory")


def parse_work(answer: Answer) -> tuple[list[Kept], str]:
    """Return what was left, and what could not be looked at, if anything.

    :raises Unknown: the walk did not come to its end.
    """
    *records, rest = answer.text.split(END)
    code = re.fullmatch(r"end (\d+)", records.pop()) if records else None
    if code is None or rest:
        raise Unknown("a work folder was not looked through to the end")
    if code[1] == "124":
        raise Unknown(f"a work folder could not be looked through within {SECONDS} s")
    rows = [_RECORD.fullmatch(each) for each in records]
    if not all(rows):
        raise Unknown("what was told of a work folder is damaged")
    lines = answer.evidence.stderr.decode("utf-8", "replace").splitlines()
    hidden = [line for line in lines if line.strip() and not line.endswith(_ABSENT)]
    if code[1] != "0" and not lines:
        raise Unknown(f"a work folder could not be looked through: find ended with {code[1]}")
    return [Kept(row[2], row[3], int(row[1])) for row in rows if row], "".join(hidden[:1])[:200]


@dataclass(frozen=True, eq=False)
class WorkFolder:
    """Where the jobs of an agent or a controller work."""

    host: Host
    path: str
    of: str

    def __str__(self) -> str:
        return self.path

    @property
    def object(self) -> Object:
        return Object("work-folder", self.of, self.path)

    @fact
    def kept(self) -> tuple[list[Kept], str]:
        """What was left there, and what could not be looked at."""
        return parse_work(session_of(self.host).ask(work_want(self.path))[0])

    def of_kind(self, *kinds: str) -> list[Kept]:
        return [each for each in self.kept[0] if each.kind in kinds]

    def need(self) -> None:
        """:raises Unknown: a part could not be looked at."""
        if self.kept[1]:
            raise Unknown(f"not all of {self} could be seen: {self.kept[1]}; it may need root")


@provide_each
def work_folder(host: Host) -> list[WorkFolder | Unseen]:
    """The work folder of each build agent and controller that is known; it may be empty."""
    known: list[RunnerFolder | JenkinsHome | BuildkiteAgent | BuildAgent | Unseen] = []
    for name in ("runner_folder", "jenkins_home", "buildkite_agent"):
        known += get(host, name)
    known += [each for each in get(host, "build_agents") if each.kind == "gitlab-runner"]
    found: dict[str, WorkFolder | Unseen] = {}
    for each in known:
        if isinstance(each, Unseen):
            found[f"{each.object}"] = each
            continue
        try:
            found |= {path: WorkFolder(host, path, each.object.name) for path in _paths(each)}
        except (Unknown, CannotAnswer) as reason:
            found[f"{each.object}"] = Unseen(each.object, str(reason))
        except NotApplicable:
            continue
    folders = [each.path for each in found.values() if isinstance(each, WorkFolder)]
    session_of(host).foresee(*map(work_want, folders))
    return list(found.values())


def _paths(known: RunnerFolder | JenkinsHome | BuildkiteAgent | BuildAgent) -> list[str]:
    match known:
        case RunnerFolder():
            return [known.work]
        case JenkinsHome():
            return [f"{known.folder}/workspace"]
        case BuildkiteAgent():
            paths = {each.get("build-path", "") for each in known.settings}
            return [known.seen(each) for each in sorted(paths) if each.startswith("/")]
    words = known.arguments
    said = [after for word, after in pairwise(words) if word in ("-d", "--working-directory")]
    said += [word.partition("=")[2] for word in words if word.startswith("--working-directory=")]
    return [known.seen(f"{(said or [GITLAB_HOME])[-1].rstrip('/')}/builds")]
