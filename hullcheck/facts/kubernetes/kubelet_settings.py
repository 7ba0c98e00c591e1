"""What a kubelet goes by: the effective value of each setting, and where it comes from.

A kubelet starts from its defaults, loads the file of ``--config`` in their place, then merges the
``*.conf`` files below ``--config-dir`` into that in lexical order, and reads its flags again, so
that they win (Kubernetes, cmd/kubelet/app/server.go). The defaults are not always the same: where
no file is loaded, anonymous requests, AlwaysAllow and the read-only port are on
(cmd/kubelet/app/options/options.go, applyLegacyDefaults); with ``--config`` they are off
(pkg/kubelet/apis/config/v1beta1/defaults.go). Drop-ins alone are merged into the former.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from testinfra.host import Host

from hullcheck.control import NotApplicable, Unknown
from hullcheck.facts.conf_files import ConfFiles, conf_files, conf_want
from hullcheck.facts.files import Files
from hullcheck.facts.foreign_yaml import at, documents, items, keys, text
from hullcheck.facts.kubernetes.components import Component
from hullcheck.facts.kubernetes.flags import truth
from hullcheck.facts.kubernetes.kubelet_fields import FIELDS, Field, Value
from hullcheck.facts.registry import Thing, Unseen, fact, get, provide_each
from hullcheck.facts.toml_daemon import SLACK
from hullcheck.inventory.document import Node
from hullcheck.transport import CannotAnswer, Pending
from hullcheck.verdict import Object

__all__ = ["KubeletSettings", "Setting", "kubelet_settings", "of_each_kubelet"]

One = TypeVar("One", bound=Thing)
DEFAULT = "the default"
SETTING_UP = 300.0
"""Seconds in which k3s, once started, writes the drop-ins of the kubelet that it is itself."""


@dataclass(frozen=True, slots=True)
class Setting:
    """:param source: a flag, a file, or the default, in words."""

    value: Value
    source: str

    def __str__(self) -> str:
        return f"{self.value} ({self.source})"


@dataclass(frozen=True, eq=False)
class KubeletSettings:
    """The settings of one kubelet."""

    host: Host = field(repr=False)
    kubelet: Component

    @property
    def object(self) -> Object:
        return self.kubelet.object

    def __str__(self) -> str:
        return str(self.kubelet)

    @property
    def config(self) -> str:
        """The path of its file, as it sees it; empty if it has none."""
        return self.kubelet.flags.last("config") or ""

    @property
    def config_dir(self) -> str:
        """The folder of its drop-ins, as it sees it; empty if it has none."""
        return self.kubelet.flags.last("config-dir") or ""

    @fact
    def _found(self) -> tuple[ConfFiles, str, str]:
        """What its files hold, and where the host finds the file and the folder."""
        seen = self.kubelet.program.seen
        config = seen(self.config) if self.config else ""
        folder = seen(self.config_dir) if self.config_dir else ""
        names = {"*.conf", posixpath.basename(config) or "*.conf"}
        places = [each for each in (config, folder) if each]
        asked = conf_want(places, sorted(names), depth=9) if places else None
        return conf_files(self.host, asked) if asked else ConfFiles({}), config, folder

    @property
    def files(self) -> list[str]:
        """The paths, on the host, of the files that it loads, the weakest first.

        :raises Unknown: some may be hidden.
        """
        found, config, folder = self._found
        drops: list[str] = []
        if folder:
            found.need(f"{folder}/x")
            drops = sorted(
                (each for each in found.files if each.startswith(f"{folder}/")
                 and each.endswith(".conf")),
                key=lambda each: each.split("/"),
            )  # fmt: skip
        return [config] * bool(config) + drops

    @fact
    def changed(self) -> list[str]:
        """What it read at its start and was changed since, as far as the clock of files tells."""
        files: Files = get(self.host, "files")
        folder = self._found[2]
        found = files.all([*self.files, *([folder] if folder else [])])
        one = self.kubelet.name == self.kubelet.program.name
        late = self.kubelet.program.process.started + (SLACK if one else SETTING_UP)
        return [
            each.path for each in found
            if each.exists
            and max([each.mtime, *(link.status.mtime for link in each.links)]) > late
        ]  # fmt: skip

    @fact
    def _documents(self) -> list[tuple[str, Node | None]]:
        found = self._found[0]
        read = []
        for path in self.files:
            content = found.text(path)
            if content is None:
                raise Unknown(f"{path}, which {self.kubelet} was started with, is not there")
            made = documents(content, path)
            if len(made) > 1:
                raise Unknown(f"{path} holds {len(made)} documents")
            read.append((path, made[0] if made else None))
        files: Files = get(self.host, "files")
        linked = self._found[2] and files.get(self._found[2]).is_link
        if linked and not self.config_dir.endswith("/"):
            raise Unknown(f"{self.config_dir} is a link, which a kubelet does not walk into")
        if self.changed:
            raise Unknown(f"{self.changed[0]} was changed after {self.kubelet} started; restart it")
        return read

    def get(self, name: str) -> Setting:
        """Return a setting by its path in a KubeletConfiguration (``authorization.mode``).

        :raises Unknown: a file that may say it cannot be read, or what is said makes no sense.
        """
        one = FIELDS[name]
        flagged = self._flagged(one)
        if flagged is None:
            return self._configured(one)
        if name == "featureGates" and isinstance(flagged, dict):
            weaker = self._configured(one).value
            flagged = {**(weaker if isinstance(weaker, dict) else {}), **flagged}
        return Setting(flagged, f"--{one.flag}")

    def _configured(self, one: Field) -> Setting:
        found = Setting(one.default if self.config else one.legacy, DEFAULT)
        for path, document in self._documents:
            said = _of_file(one, at(document, *one.name.split(".")), path)
            main = path == self._found[1]
            if said is None or (main and one.zero_is_default and _zero(one, said)):
                continue
            if isinstance(said, dict) and not main and isinstance(found.value, dict):
                said = {**found.value, **said}
            found = Setting(said, path)
        return found

    def path(self, name: str) -> str:
        """Return a setting that is a path, as the kubelet sees it; empty if it is not set.

        One in the file of ``--config`` begins where that file lies, any other where it runs.
        """
        told = self.get(name)
        said = str(told.value or "")
        if said and self.config and told.source == self._found[1]:
            said = posixpath.join(posixpath.dirname(self.config), said)
        return self.kubelet.program.absolute(said) if said else ""

    @property
    def cert_dir(self) -> str:
        """Where it keeps its own certificates, with their keys; as it sees it."""
        flags = self.kubelet.flags
        return self.kubelet.program.absolute(flags.last("cert-dir") or "/var/lib/kubelet/pki")

    def _flagged(self, one: Field) -> Value:
        if not one.flag or one.flag not in self.kubelet.flags.values:
            return None
        flags = self.kubelet.flags
        match one.kind:
            case "bool":
                return flags.flag(one.flag)
            case "list":
                return flags.listed(one.flag)
            case "map" if one.flag.startswith("eviction-"):
                pairs = (each.partition("<") for each in flags.listed(one.flag) or ())
                return {key.strip(): value.strip() for key, _, value in pairs}
            case "map":
                return flags.pairs(one.flag)
        return _scalar(one, flags.last(one.flag) or "", f"--{one.flag}")

    @property
    def feature_gates(self) -> Mapping[str, bool]:
        """The features that it is told to have, or not to."""
        said = self.get("featureGates").value
        told = said if isinstance(said, dict) else {}
        return {name: truth(value, f"feature gate {name}") for name, value in told.items()}


def _of_file(one: Field, node: Node | None, path: str) -> Value:
    """Return what a file says; None if it says nothing, as ``null`` does."""
    if node is None or node.value is None:
        return None
    match one.kind:
        case "list":
            return [text(each) for each in items(node)]
        case "map":
            return {name: text(each) for name, each in keys(node).items()}
    if isinstance(node.value, dict | list):
        raise Unknown(f"{path}: {one.name} is no single value")
    return _scalar(one, text(node), path)


def _zero(one: Field, said: Value) -> bool:
    return not said or (one.kind == "time" and not re.search("[1-9]", str(said)))


def _scalar(one: Field, said: str, source: str) -> Value:
    if one.kind == "bool":
        return truth(said, f"{one.name} ({source})")
    if one.kind != "int":
        return said
    try:
        return int(said)
    except ValueError:
        raise Unknown(f"{one.name} ({source}) is {said[:40]!r}, which is no number") from None


@provide_each
def kubelet_settings(host: Host) -> Iterator[KubeletSettings | Unseen]:
    """The settings of each kubelet. :raises NotApplicable: none runs here."""
    found: list[Component | Unseen] = get(host, "kubelet")
    for each in found:
        yield each if isinstance(each, Unseen) else KubeletSettings(host, each)


def of_each_kubelet(
    host: Host, things: Callable[[KubeletSettings], Iterable[One | Unseen]], nothing: str
) -> list[One | Unseen]:
    """Return the things of every kubelet; a kubelet whose things cannot be seen is Unseen.

    :param nothing: the reason why there are none.
    :raises NotApplicable: there are none.
    """
    found: dict[Object, One | Unseen] = {}
    pending = False
    kubelets: list[KubeletSettings | Unseen] = get(host, "kubelet_settings")
    for each in kubelets:
        if isinstance(each, Unseen):
            found[each.object] = each
            continue
        try:
            found |= {one.object: one for one in things(each)}
        except Pending:
            pending = True
        except (Unknown, CannotAnswer) as reason:
            found[each.object] = Unseen(each.object, str(reason))
    if pending:
        raise Pending
    if not found:
        raise NotApplicable(nothing)
    return list(found.values())
