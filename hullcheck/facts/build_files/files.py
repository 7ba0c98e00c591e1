"""The files that builds are made by: what lies below the folders where build files are known to be.

One bounded walk over the folders that the site names (``build_directories``) and those in which
runners work by default; further ones where an agent that runs has another, and the files of compose
projects that run. No link is followed. It is bounded in time and size, not in depth: what was not
looked at is said, with the reason.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.containers import Container
from hullcheck.facts.registry import get, provide
from hullcheck.facts.runners.agents import BuildAgent
from hullcheck.inventory.policy import Policy
from hullcheck.transport import Answer, CannotAnswer, Want, session_of, want

__all__ = ["NOWHERE", "BuildFiles", "Listed", "build_files", "compose_paths", "parse_sweep",
           "read_want", "sweep_want"]  # fmt: skip

WORK = (
    "/home/gitlab-runner/builds", "/var/lib/gitlab-runner/builds", "/builds",
    "/var/lib/jenkins/workspace", "/var/jenkins_home/workspace", "/home/jenkins/workspace",
    "/var/lib/buildkite-agent/builds", "/opt/actions-runner/_work", "/home/*/actions-runner/_work",
    "/actions-runner/_work", "/root/actions-runner/_work",
)  # fmt: skip
"""Where runners keep the sources of what they build, if nobody tells them otherwise."""

SECONDS, BYTES = 40, 6_000_000
LARGEST = 512 * 1024
"""Longer files are no build files; they are listed and not read."""

SKIPPED = (
    "node_modules", "vendor", "venv", ".venv", "site-packages", "bower_components", "__pycache__",
    ".tox", ".nox", ".terraform", ".cache", ".svn", ".hg",
)  # fmt: skip
"""Folders with what others wrote; nobody's build begins there."""

READ = (
    "Dockerfile", "Dockerfile[.-]*", "*.[Dd]ockerfile", "Containerfile", "Containerfile.*",
    "*.Containerfile", ".dockerignore", ".containerignore", "*.dockerignore",
    "compose.y*ml", "compose[.-]*.y*ml", "*docker-compose*.y*ml",
    "*gitlab-ci*.y*ml", "action.y*ml", "Jenkinsfile*", "*.[Jj]enkinsfile",
    "azure-pipelines*.y*ml", ".drone.y*ml", ".woodpecker*.y*ml", "bitbucket-pipelines.yml",
    "package.json", "requirements*.txt", "Pipfile", "pyproject.toml", "go.mod", "Cargo.toml",
    "Gemfile", "composer.json",
)  # fmt: skip
READ_PATHS = (
    "*/.github/workflows/*.y*ml", "*/.gitea/workflows/*.y*ml", "*/.forgejo/workflows/*.y*ml",
    "*/.gitlab/*.y*ml", "*/.woodpecker/*.y*ml", "*/.buildkite/*.y*ml", "*/.circleci/*.y*ml",
    "*/.tekton/*.y*ml", "*/ci/*.y*ml",
)  # fmt: skip
LISTED = (
    "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock*",
    "deno.lock", "uv.lock", "poetry.lock", "pdm.lock", "Pipfile.lock", "pylock*.toml", "go.sum",
    "go.work.sum", "Cargo.lock", "Gemfile.lock", "gems.locked", "composer.lock", "*.gemspec",
    ".env", ".env.*", "*.key", "id_rsa", "id_ed25519", "id_ecdsa", "id_dsa", "*.p12", "*.pfx",
    ".netrc", ".git-credentials", "*.tfstate",
)  # fmt: skip
"""Only that they are there counts: some hold secrets."""

NOWHERE = "no build files are known of: name the folders they lie in (build_directories)"

_SERVICE = re.compile(
    r"/\.(?:github|gitea|forgejo|gitlab|circleci|buildkite|woodpecker|tekton)(?:/.*)?\Z"
)
_END = re.compile(r"= end (\d+)")
_STAT = re.compile(r"= (regular file|regular empty file|symbolic link|directory) (\d+) (/.*)")
_COMPLAINT = re.compile(r"^\w+: ['\"`]?(/.*?)['\"]?: ([^:]+)$")
_ABSENT = ("No such file or directory", "Not a directory")
_LINK = re.compile(r"(/.*?)[']? -> [']?(.*?)[']?")


@dataclass(frozen=True, slots=True)
class Listed:
    """:param target: where a link leads; empty for a file or folder."""

    size: int
    target: str = ""


@dataclass(frozen=True)
class BuildFiles:
    """What was found.

    :param roots: the folders that were walked.
    :param texts: what the files hold that were read, by path, or why they cannot be read.
    :param listed: everything that was found, by path.
    :param unseen: places that were not looked at, with the reason.
    """

    roots: tuple[str, ...]
    texts: Mapping[str, str | Unknown] = field(repr=False, default_factory=dict)
    listed: Mapping[str, Listed] = field(repr=False, default_factory=dict)
    unseen: tuple[tuple[str, str], ...] = ()

    def named(self, test: re.Pattern[str]) -> list[str]:
        """Return the paths of files that were read whose whole path fits, sorted."""
        return sorted(path for path in self.texts if test.fullmatch(path))

    def text(self, path: str) -> str | None:
        """Return what a file holds; None if it was not found. :raises Unknown: unreadable."""
        found = self.texts.get(path)
        if isinstance(found, Unknown):
            raise Unknown(*found.args)
        return found

    def need_whole(self, folder: str) -> None:
        """Make sure that all of a folder was seen. :raises Unknown: a part of it was not."""
        inside = f"{folder}/"
        for places, why in self.unseen:
            for each in places.removesuffix(" …").split(", "):
                near = f"{each.rstrip('/')}/"
                if each.startswith("/") and (near.startswith(inside) or inside.startswith(near)):
                    raise Unknown(f"not all of {folder} was seen: {each}: {why}; it may need root")

    def root_of(self, path: str) -> str:
        """Return the deepest of the walked folders that a path is in; else its own folder."""
        own = [each for each in self.roots if path.startswith(f"{each}/")]
        return max(own, key=len, default=posixpath.dirname(path))

    def project_of(self, path: str) -> str:
        """Return the checkout that a file is in: where .git lies; else its own folder, or that
        in which the folder of its service lies."""
        folder = posixpath.dirname(path)
        for each in above(folder, self.root_of(path)):
            if f"{each}/.git" in self.listed:
                return each
        return _SERVICE.sub("", folder)

    def joined(self, other: BuildFiles) -> BuildFiles:
        """Return both together; this one's texts count more."""
        return BuildFiles(
            (*self.roots, *other.roots), {**other.texts, **self.texts},
            {**other.listed, **self.listed}, (*self.unseen, *other.unseen),
        )  # fmt: skip


def above(folder: str, root: str) -> list[str]:
    """Return a folder and those that it is in, up to a root, the nearest first."""
    found = [folder]
    while found[-1] != root and found[-1].startswith(f"{root}/"):
        found.append(posixpath.dirname(found[-1]))
    return found


def _names(names: Iterable[str], option: str = "-name") -> str:
    return " -o ".join(f"{option} {shlex.quote(each)}" for each in names)


_STRANGE = "-path '*[[:cntrl:]:]*' -exec echo '= strange' \\; -prune"
_SHOW = "-exec stat -c '= %F %s %N' -- {} +"
_AWK = (
    r"""awk '/^\//{i=index($0,":");p=substr($0,1,i-1);t=substr($0,i+1);"""
    r"""if(p!=l){print "= file " p;l=p}"""
    r"""print (t~/^[ \t-]*["\047]?[A-Za-z0-9_.-]+["\047]?:([ \t]|$)/?"\t":":") t;next}{print}'"""
)
"""Every line of a file gets a first letter of its own, so that none poses as a heading. A tab
before a line of YAML lets a secret be cut to the line's end; a colon before others keeps what comes
after it."""


def _wanted(find: str) -> Want:
    return want(
        f"{{ QUOTING_STYLE=literal timeout {SECONDS} {find}; printf '= end %s\\n' $?; }}"
        f" | tr -d '\\000' | {_AWK} | head -c {BYTES}",
        seconds=SECONDS + 10,
    )


def sweep_want(roots: Sequence[str]) -> Want:
    """Return the want for all build files below some folders; a ``*`` in one is any name."""
    places = " ".join(shlex.quote(each).replace("*", "'*'") for each in roots)
    return _wanted(
        f"find -H {places} {_STRANGE}"
        f" -o -name .git {_SHOW} -prune -o -type d \\( {_names(SKIPPED)} \\) -prune"
        f" -o \\( -type f -o -type l \\) \\( {_names(READ)} -o {_names(LISTED)}"
        f" -o {_names(READ_PATHS, '-path')} \\) {_SHOW}"
        f" -type f -size -{LARGEST // 512 + 1} \\( {_names(READ)} -o {_names(READ_PATHS, '-path')}"
        " \\) -exec grep -aH '' {} +"
    )


def read_want(paths: Sequence[str]) -> Want:
    """Return the want for some files, whatever they are called."""
    places = " ".join(map(shlex.quote, paths))
    return _wanted(
        f"find -H {places} -maxdepth 0 {_STRANGE} -o -type f {_SHOW}"
        f" -size -{LARGEST // 512 + 1} -exec grep -aH '' {{}} +"
    )


def parse_sweep(answer: Answer, roots: Sequence[str]) -> BuildFiles:
    """Return what a sweep found. :raises CannotAnswer: nothing that it could say came."""
    lines = answer.text.split("\n")
    ended = _END.fullmatch(lines[-2]) if len(lines) > 1 and not lines[-1] else None
    texts: dict[str, list[str]] = {}
    listed: dict[str, Listed] = {}
    unseen = list(_complaints(answer))
    path = ""
    for line in lines[: -2 if ended else -1]:
        if line[:1] in (":", "\t") and path:
            texts[path].append(line[1:])
        elif line.startswith("= file "):
            path = line[7:]
            texts[path] = []
        elif found := _STAT.fullmatch(line):
            link = _LINK.fullmatch(found[3]) if found[1] == "symbolic link" else None
            name = link[1] if link else found[3]
            listed[name.strip("'")] = Listed(int(found[2]), link[2] if link else "")
            if found[1] == "regular empty file":
                texts.setdefault(found[3].strip("'"), [])
        elif line == "= strange":
            unseen.append((_common(roots), "a path with a colon or control characters in it"))
        else:
            raise CannotAnswer(f"the walk over build files said what it never says: {line[:60]!r}")
    if ended is None:
        texts.pop(path, None)
        unseen.append((_common(roots), f"there is more than {BYTES} bytes of build files"))
    elif ended[1] == "124":
        texts.pop(path, None)
        unseen.append((_common(roots), f"the walk took longer than {SECONDS} s"))
    elif ended[1] not in ("0", "1"):
        unseen.append((_common(roots), f"the walk ended with {ended[1]}"))
    whole = {each: "\n".join(text) for each, text in texts.items()}
    return BuildFiles(tuple(roots), _with_unread(whole, listed, unseen), listed, tuple(unseen))


def _common(roots: Sequence[str]) -> str:
    return ", ".join(roots[:3]) + (" …" if len(roots) > 3 else "")


def _complaints(answer: Answer) -> Iterable[tuple[str, str]]:
    for line in answer.evidence.stderr.decode("utf-8", "replace").splitlines():
        if line.strip() and not line.endswith(_ABSENT):
            found = _COMPLAINT.match(line)
            yield (found[1], found[2]) if found else ("/", line.strip()[:200])


def _with_unread(
    texts: Mapping[str, str], listed: Mapping[str, Listed], unseen: list[tuple[str, str]]
) -> dict[str, str | Unknown]:
    """Return the texts with an Unknown for each file that should have been read and was not."""
    found: dict[str, str | Unknown] = {**texts}
    denied = dict(unseen)
    for path, each in listed.items():
        if path in texts or not _is_read(path):
            continue
        if each.target:
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), each.target))
            if target not in listed:
                found[path] = Unknown(f"it is a link to {each.target}, which is not followed")
        elif path in denied:
            found[path] = Unknown(f"it cannot be read: {denied[path]}; it needs root")
        elif each.size >= LARGEST:
            found[path] = Unknown(f"it is longer than {LARGEST} bytes")
        elif each.size:
            found[path] = Unknown("it was not read")
    unseen[:] = [each for each in unseen if each[0] not in found]
    return found


def _is_read(path: str) -> bool:
    return bool(_READ.fullmatch(path))


def _as_pattern(glob: str) -> str:
    return re.escape(glob).replace(r"\*", ".*").replace(r"\[", "[").replace(r"\]", "]")


_READ = re.compile("|".join((*(f".*/{_as_pattern(each)}" for each in READ),
                             *map(_as_pattern, READ_PATHS))))  # fmt: skip


@provide
def build_files(host: Host, policy: Policy) -> BuildFiles:
    """All build files that are known of on a host.

    :raises NotApplicable: none is.
    """
    named = [each.rstrip("/") for each in policy.build_directories or () if each.startswith("/")]
    first = list(dict.fromkeys([*filter(None, named), *WORK]))
    asked = sweep_want(first)
    session_of(host).foresee(asked)
    found = _expanded(parse_sweep(session_of(host).ask(asked)[0], first))
    further, doubt = _further(host)
    more = [each for each in further if each not in first and not _inside(each, found.roots)]
    if more:
        asked = sweep_want(more)
        found = found.joined(parse_sweep(session_of(host).ask(asked)[0], more))
    if doubt:
        found = found.joined(BuildFiles((), unseen=(("where runners work", doubt),)))
    if not found.listed and not found.texts and not found.unseen:
        raise NotApplicable(f"no build file lies in {_common(named)}" if named else NOWHERE)
    return found


def _expanded(found: BuildFiles) -> BuildFiles:
    """Return what was found with the folders that a pattern of :data:`WORK` stood for."""
    roots = [each for each in found.roots if "*" not in each]
    for each in (each for each in found.roots if "*" in each):
        pattern = re.compile("(" + re.escape(each).replace(r"\*", "[^/]+") + ")/.*")
        roots += {match[1] for path in found.listed if (match := pattern.fullmatch(path))}
    return BuildFiles(tuple(roots), found.texts, found.listed, found.unseen)


def _inside(path: str, roots: Iterable[str]) -> bool:
    return any(path == each or path.startswith(f"{each}/") for each in roots)


def _further(host: Host) -> tuple[list[str], str]:
    """Return the work folders of agents that run, as far as they tell, and a doubt if any."""
    try:
        agents: list[BuildAgent] = get(host, "build_agents")
        return [path for each in agents if each.own is not False for path in _work_of(each)], ""
    except (Unknown, CannotAnswer) as reason:
        return [], f"runners may be hidden: {reason}"


def _work_of(agent: BuildAgent) -> list[str]:
    try:
        settings, words = agent.settings, agent.arguments
    except (Unknown, CannotAnswer):
        return []
    program = words[0] if words else ""
    own = f"{posixpath.dirname(posixpath.dirname(program))}/_work"
    home = settings.get("JENKINS_HOME") or f"{settings.get('HOME', '')}/.jenkins"
    told = {
        "jenkins": [f"{home}/workspace"],
        "jenkins-agent": [f"{each}/workspace" for each in _given(words, "-workDir")],
        "gitlab-runner": [
            f"{each}/builds"
            for name in ("--working-directory", "-d")
            for each in _given(words, name)
        ],
        "buildkite": [settings.get("BUILDKITE_BUILD_PATH", ""), *_given(words, "--build-path")],
        "github": [own],
        "azure": [own],
    }.get(agent.kind, [])
    return [each for each in told if re.fullmatch(r"/[^*\x00-\x1f]*/[^*\x00-\x1f]+", each)]


def _given(words: Sequence[str], option: str) -> list[str]:
    found = [value for word, value in zip(words, [*words[1:], ""], strict=True) if word == option]
    found += [word.partition("=")[2] for word in words if word.startswith(f"{option}=")]
    return [each.rstrip("/") for each in found if each]


LABEL_FILES = "com.docker.compose.project.config_files"
LABEL_FOLDER = "com.docker.compose.project.working_dir"


def compose_paths(host: Host) -> tuple[list[str], str]:
    """Return the files that containers say they were made from, and why there may be more."""
    paths: set[str] = set()
    doubt = ""
    try:
        things = get(host, "container")
    except NotApplicable:
        return [], ""
    except (Unknown, CannotAnswer) as reason:
        return [], str(reason)
    for each in things:
        if not isinstance(each, Container):
            doubt = each.reason
            continue
        labels = each.config("Labels", {})
        if not isinstance(labels, dict):
            doubt = f"the labels of container {each} are no table"
            continue
        folder = str(labels.get(LABEL_FOLDER) or "")
        for name in str(labels.get(LABEL_FILES) or "").split(","):
            path = posixpath.normpath(posixpath.join(folder, name.strip())) if name.strip() else ""
            if path.startswith("/") and not re.search(r"[\x00-\x1f:]", path):
                paths.add(path)
    return sorted(paths), doubt
