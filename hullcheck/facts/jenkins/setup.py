"""What Jenkins lets whom do, from ``config.xml`` or from Configuration as Code.

config.xml is what is in force since it was last saved; the YAML of the plugin
``configuration-as-code`` is applied at the next start (its README, "CASC_JENKINS_CONFIG").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from hullcheck.control import Unknown
from hullcheck.facts.files import Files
from hullcheck.facts.jenkins.controller import JenkinsHome
from hullcheck.facts.jenkins.xml import Element
from hullcheck.facts.registry import get
from hullcheck.facts.whole_files import whole_text

__all__ = ["Setup", "setups"]

_UNSECURED = "hudson.security.AuthorizationStrategy$Unsecured"
_LOGGED_IN = "hudson.security.FullControlOnceLoggedInAuthorizationStrategy"
_LEGACY = "hudson.security.LegacyAuthorizationStrategy"
_MATRICES = ("hudson.security.GlobalMatrixAuthorizationStrategy",
             "hudson.security.ProjectMatrixAuthorizationStrategy")  # fmt: skip
_ROLES = "com.michelin.cio.hudson.plugins.rolestrategy.RoleBasedAuthorizationStrategy"
_NO_REALM = "hudson.security.SecurityRealm$None"
_OWN_REALM = "hudson.security.HudsonPrivateSecurityRealm"
_RAW = ("anythinggoes", "pegdown")
"""Parts of the names of formatters that clean nothing. RawHtmlMarkupFormatter, called Safe HTML,
is OWASP's and does."""
_TRUE = "true"

ADMINISTER = "Administer"
LARGEST, DEEPEST = 200_000, 40


@dataclass(frozen=True, slots=True)
class Setup:
    """What one source says. None: it does not say.

    :param faults: what lets strangers in, one sentence each.
    :param strange: a strategy that is not known, so that a person must look; else empty.
    :param executors: how many builds run on the controller itself at a time.
    :param crumbs: whether requests need a crumb, which a foreign site cannot know.
    :param port: for inbound agents by TCP: -1 none, 0 a random one.
    :param raw_markup: whether descriptions may be any HTML.
    """

    source: str
    faults: tuple[str, ...]
    strange: str
    executors: int | None
    crumbs: bool | None
    port: int | None
    raw_markup: bool | None


def setups(home: JenkinsHome) -> list[Setup]:
    """Return what ``config.xml`` says, and the YAML that will be applied over it.

    :raises Unknown: one cannot be read, or makes no sense.
    """
    found = [_of_xml(f"{home.folder}/config.xml", home.config)] if home.config else []
    return [*found, *_of_code(home)]


def _of_xml(path: str, config: Element) -> Setup:
    strategy, realm = config.find("authorizationStrategy"), config.find("securityRealm")
    faults = [] if config.value("useSecurity") != "false" else ["security is switched off"]
    faults += _realm_faults(realm)
    faults += _strategy_faults(strategy)
    kind = strategy.kind if strategy else ""
    known = ("", _UNSECURED, _LOGGED_IN, _LEGACY, *_MATRICES, _ROLES)
    markup = config.find("markupFormatter")
    return Setup(
        path, tuple(faults), "" if kind in known else kind,
        _number(path, config.value("numExecutors")), config.find("crumbIssuer") is not None,
        _number(path, config.value("slaveAgentPort")), _raw(markup.kind if markup else ""),
    )  # fmt: skip


def _raw(name: str) -> bool:
    return any(each in name.lower() for each in _RAW)


def _realm_faults(realm: Element | None) -> Iterator[str]:
    kind = realm.kind if realm else ""
    if realm is None or kind == _NO_REALM:
        yield "nobody can log in (no security realm)"
    elif kind == _OWN_REALM and realm.value("disableSignup") != _TRUE:
        yield "anybody can make an account (sign-up)"


def _strategy_faults(strategy: Element | None) -> Iterator[str]:
    if strategy is None or strategy.kind == _UNSECURED:
        yield "anybody may do anything"
    elif strategy.kind == _LEGACY:
        yield "anybody may read (legacy authorization)"
    elif strategy.kind == _LOGGED_IN and strategy.value("denyAnonymousReadAccess") != _TRUE:
        yield "anybody may read without logging in"
    elif strategy.kind in _MATRICES:
        yield from _granted(each.text for each in strategy.all("permission"))
    elif strategy.kind == _ROLES:
        for role in strategy.all("role"):
            for sid in role.all("sid"):
                yield from _granted(f"{each.text}:{sid.text}" for each in role.all("permission"))


def _granted(permissions: Iterable[str]) -> Iterator[str]:
    """Yield what is granted to strangers, of ``[TYPE:]PERMISSION:NAME``."""
    for each in permissions:
        rest, _, name = each.rpartition(":")
        right = rest.rpartition(":")[2]
        if name == "anonymous":
            yield f"anybody has {right} without logging in"
        elif name == "authenticated" and right.endswith(f".{ADMINISTER}"):
            yield "everybody who is logged in is an administrator"


def _number(path: str, text: str | None) -> int | None:
    if not text:
        return None
    if not text.lstrip("-").isdecimal() or len(text) > 9:
        raise Unknown(f"{path}: {text[:40]!r} is no number")
    return int(text)


def _of_code(home: JenkinsHome) -> Iterator[Setup]:
    files: Files = get(home.host, "files")
    for path in _sources(home):
        file = files.get(path)
        if not file.exists:
            continue
        parts = [path] if file.kind != "directory" else files.list(path)
        for each in parts:
            text = whole_text(home.host, each) if each.endswith((".yaml", ".yml")) else None
            code = _parsed(each, text).get("jenkins") if text is not None else None
            if isinstance(code, dict):
                yield _of_yaml(each, code)


def _sources(home: JenkinsHome) -> list[str]:
    """Return the files and folders that the plugin reads; not what it fetches."""
    said = home.property("casc.jenkins.config") if home.agent else None
    if home.agent and not said:
        said = home.agent.settings.get("CASC_JENKINS_CONFIG")
    if not said or home.agent is None:
        return [f"{home.folder}/jenkins.yaml"]
    paths = [each.strip().rstrip("/") for each in said.split(",")]
    return [home.agent.seen(each) for each in paths if each.startswith("/")]


def _parsed(file: str, text: str) -> dict[str, Any]:
    try:
        if len(text) > LARGEST or not _simple(text):
            raise Unknown(f"{file} is too long or too deep, or has aliases, which are not followed")
        found = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError):
        raise Unknown(f"{file} makes no sense as YAML") from None
    return found if isinstance(found, dict) else {}


def _simple(text: str) -> bool:
    """Whether a text of YAML has no aliases and is not nested deep."""
    begin = (yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken,
             yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken)  # fmt: skip
    end = (yaml.BlockEndToken, yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken)
    depth = 0
    for token in yaml.scan(text):
        depth += isinstance(token, begin) - isinstance(token, end)
        if depth > DEEPEST or isinstance(token, yaml.AliasToken):
            return False
    return True


def _of_yaml(path: str, code: Mapping[str, Any]) -> Setup:
    faults = [*_code_realm(code.get("securityRealm")), *_code_rights(code)]
    strategy = code.get("authorizationStrategy")
    name = next(iter(strategy), "") if isinstance(strategy, dict) else str(strategy or "")
    known = ("", "unsecured", "legacy", "loggedInUsersCanDoAnything", "globalMatrix",
             "projectMatrix", "roleBased")  # fmt: skip
    markup = code.get("markupFormatter")
    crumbs = None if "crumbIssuer" not in code else bool(code["crumbIssuer"])
    return Setup(
        path, tuple(faults), "" if name in known else str(name),
        _integer(code.get("numExecutors")), crumbs, _integer(code.get("slaveAgentPort")),
        None if markup is None else _raw(str(markup)),
    )  # fmt: skip


def _integer(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _code_realm(realm: Any) -> Iterator[str]:
    local = realm.get("local") if isinstance(realm, dict) else None
    if isinstance(local, dict) and local.get("allowsSignup", True) is not False:
        yield "anybody can make an account (sign-up)"
    elif realm in ("none", {"none": None}):
        yield "nobody can log in (no security realm)"


def _code_rights(code: Mapping[str, Any]) -> Iterator[str]:
    strategy = code.get("authorizationStrategy")
    name, body = strategy, None
    if isinstance(strategy, dict) and strategy:
        name, body = next(iter(strategy.items()))
    inside: dict[str, Any] = body if isinstance(body, dict) else {}
    if name == "unsecured":
        yield "anybody may do anything"
    elif name == "legacy":
        yield "anybody may read (legacy authorization)"
    elif name == "loggedInUsersCanDoAnything" and inside.get("allowAnonymousRead", True):
        yield "anybody may read without logging in"
    elif name in ("globalMatrix", "projectMatrix"):
        yield from _granted(map(_old_form, _strings(inside.get("permissions"))))
        yield from _entries(inside.get("entries"))
    elif name == "roleBased":
        yield from _roles(inside.get("roles"))


def _strings(value: Any) -> list[str]:
    return [str(each) for each in _list(value)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _old_form(text: str) -> str:
    """Return ``Overall/Read:anonymous`` as ``Overall.Read:anonymous``."""
    return text.replace("/", ".")


def _entries(entries: Any) -> Iterator[str]:
    """Yield what is granted in ``- group: {name: …, permissions: […]}``."""
    for entry in _list(entries):
        for kind in ("user", "group"):
            one = entry.get(kind) if isinstance(entry, dict) else None
            if isinstance(one, dict):
                yield from _granted(
                    f"{_old_form(each)}:{one.get('name')}"
                    for each in _strings(one.get("permissions"))
                )


def _roles(roles: Any) -> Iterator[str]:
    for group in roles.values() if isinstance(roles, dict) else []:
        for role in _list(group):
            if not isinstance(role, dict):
                continue
            names = _strings(role.get("assignments")) + [
                str(each.get("user") or each.get("group"))
                for each in _list(role.get("entries"))
                if isinstance(each, dict)
            ]
            for name in names:
                yield from _granted(
                    f"{_old_form(each)}:{name}" for each in _strings(role.get("permissions"))
                )
