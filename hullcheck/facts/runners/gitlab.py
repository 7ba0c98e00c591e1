"""GitLab Runner's config.toml: one file, any number of runners.

docs.gitlab.com/runner: "Advanced configuration", "Docker executor", "Kubernetes executor",
"Configure runner autoscaling"; gitlab-runner, common/config.go and allowed_images.go. Keys are
found in any case, as its TOML reader does.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from hullcheck.control import Unknown
from hullcheck.facts.podman.roots import parse_toml
from hullcheck.facts.runners.jobs import (
    ANY,
    CONTAINERS,
    DRIVER,
    HOST,
    MACHINES,
    OTHERS,
    PODS,
    Jobs,
    Mount,
    harmless_option,
    mount_of,
    peer,
    secret_names,
)
from hullcheck.facts.runners.typed_tables import Table
from hullcheck.transport.redact import PLACEHOLDER

__all__ = ["RunnerText", "config_path", "job_user", "parse_gitlab", "runs_jobs"]

SYSTEM = "/etc/gitlab-runner/config.toml"
OF_HOME = ".gitlab-runner/config.toml"

COMMANDS = frozenset((
    "run", "run-single", "register", "unregister", "verify", "list", "exec", "install", "uninstall",
    "start", "stop", "restart", "status", "reset-token", "artifacts-downloader", "health-check",
    "artifacts-uploader", "cache-archiver", "cache-extractor", "cache-init", "read-logs", "steps",
    "proxy-exec", "fleeting", "wrapper", "help",
))  # fmt: skip

_OPTIONS = ("--config", "-c"), ("--user", "-u")

_SCRIPTS = ("pre_clone_script", "post_clone_script", "pre_get_sources_script", "pre_build_script",
            "post_get_sources_script", "post_build_script")  # fmt: skip

_UNVERIFIED = ("GIT_SSL_NO_VERIFY", "NODE_TLS_REJECT_UNAUTHORIZED")

_OF_JOB = re.compile(rb"gitlab-ci-token:" + PLACEHOLDER.pattern)
"""A job's own token, written as a variable: whatever stands there was cut out."""

_WHERE = {
    "": HOST, "shell": HOST, "docker": CONTAINERS, "docker-windows": CONTAINERS,
    "docker-ssh": CONTAINERS, "docker+machine": CONTAINERS, "docker-ssh+machine": CONTAINERS,
    "docker-autoscaler": CONTAINERS, "kubernetes": PODS, "ssh": OTHERS, "custom": DRIVER,
    "instance": MACHINES, "virtualbox": MACHINES, "parallels": MACHINES,
}  # fmt: skip
"""Where jobs run, by executor."""


def runs_jobs(words: list[str]) -> str:
    """Return the command that a runner was started with, "run" if it tells none."""
    return next((each for each in words[1:] if each in COMMANDS), "run")


def config_path(words: list[str], settings: dict[str, str] | None, uid: int) -> str:
    """Return the path of the file that a runner reads.

    :raises Unknown: it depends on an environment that cannot be seen.
    """
    said = _option(words, _OPTIONS[0])
    if said:
        return said
    if settings is None:
        if uid == 0:
            return SYSTEM
        raise Unknown("which configuration it reads depends on its environment; it needs root")
    if settings.get("CONFIG_FILE"):
        return settings["CONFIG_FILE"]
    if uid == 0:
        return SYSTEM
    if not settings.get("HOME", "").startswith("/"):
        raise Unknown("which configuration it reads is not known: it has no HOME")
    return f"{settings['HOME'].rstrip('/')}/{OF_HOME}"


def job_user(words: list[str]) -> str:
    """Return the user whose rights jobs on the host get; empty: the runner's own."""
    return _option(words, _OPTIONS[1])


def _option(words: list[str], names: tuple[str, ...]) -> str:
    """Return an option's last value: ``--name value``, ``-name value``, ``--name=value``."""
    found = ""
    spellings = {f"{dashes}{name.lstrip('-')}" for name in names for dashes in ("-", "--")}
    for number, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name in spellings:
            following = words[number + 1] if number + 1 < len(words) else ""
            found = value if equals else following
    return found


class RunnerText:
    """The text of a config.toml, as its reader understands it."""

    def __init__(self, path: str, text: str) -> None:
        self.path = path
        self.table = Table(parse_toml(path, text), path, fold=True)


def parse_gitlab(path: str, text: str) -> list[Jobs]:
    """Return the runners of a file. :raises Unknown: it is not understood."""
    whole = RunnerText(path, text).table
    debug = tuple(each for key in ("listen_address", "metrics_server_address")
                  if (each := whole.text(key)))  # fmt: skip
    return [_runner(each, number, debug) for number, each in enumerate(whole.tables("runners"), 1)]


def _runner(table: Table, number: int, debug: tuple[str, ...]) -> Jobs:
    name = table.text("name") or f"number {number}"
    executor = table.text("executor").lower()
    if executor not in _WHERE:
        unread = f"what its executor {executor[:40]!r} does is not known"
        return Jobs(name, DRIVER, debug=debug, unread=unread)
    plain, near = _connections(table)
    made = Jobs(
        name, _WHERE[executor], fresh=_fresh(executor, table), plain=plain, near=near,
        secrets=_secrets(table), debug=debug,
        shared_cache=table.table("cache").flag("shared"),
    )  # fmt: skip
    if made.where == CONTAINERS:
        return _in_containers(made, table.table("docker"), remote=executor != "docker")
    if made.where == PODS:
        return _in_pods(made, table.table("kubernetes"))
    if made.where == OTHERS:
        ssh = table.table("ssh")
        return replace(made, target=f"{ssh.text('user')}@{ssh.text('host')}")
    return made


def _fresh(executor: str, table: Table) -> bool:
    if executor.endswith("+machine"):
        return table.table("machine").number("MaxBuilds") == 1
    if executor in ("docker-autoscaler", "instance"):
        scaler = table.table("autoscaler")
        alone = scaler.number("capacity_per_instance", 1) in (0, 1)
        isolated = scaler.table("vm_isolation").flag("enabled")
        return (alone and scaler.number("max_use_count") == 1) or isolated
    if executor in ("virtualbox", "parallels"):
        return not table.table(executor).flag("disable_snapshots")
    return False


def _in_containers(made: Jobs, docker: Table, *, remote: bool) -> Jobs:
    volumes = docker.texts("volumes") or ()
    mounts = [mount_of(each) for each in volumes]
    modes = {
        "network": "network_mode",
        "user": "userns_mode",
        "IPC": "ipcmode",
        "process": "pidmode",
    }
    options = [
        *(docker.texts("security_opt") or ()),
        *(docker.texts("services_security_opt") or ()),
    ]
    rights = [f"security_opt {each}" for each in options if not harmless_option(each)]
    rights += [f"device_cgroup_rules {each}" for each in docker.texts("device_cgroup_rules") or ()]
    rights += [f"group_add {each}" for each in docker.texts("group_add") or ()]
    gpus = docker.text("gpus")
    engine = ("", "") if remote else _engine(docker)
    taken = docker.texts("volumes_from")
    policies = docker.texts("allowed_pull_policies") or docker.texts("pull_policy") or ("always",)
    return replace(
        made,
        privileged=_privileged(docker),
        mounts=tuple(each for each in mounts if each),
        namespaces=tuple(space for space, key in modes.items() if docker.text(key) == "host"),
        capabilities=docker.texts("cap_add") or (),
        rights=tuple(rights),
        devices=(*(each.partition(":")[0] for each in docker.texts("devices") or ()),
                 *(("gpus",) if gpus else ())),
        images=_lists(docker),
        any_entrypoint=not docker.flag("disable_entrypoint_overwrite"),
        pull_policies=policies,
        plain=(*made.plain, *([f"the engine {engine[0]}"] if engine[0] else [])),
        near=(*made.near, *([engine[1]] if engine[1] else [])),
        unread=f"what {', '.join(taken)} has mounted is not known" if taken else "",
    )  # fmt: skip


def _privileged(table: Table) -> tuple[str, ...]:
    """Return the images that run privileged; without lists of them, all do."""
    jobs = table.flag("privileged")
    services = table.flag("services_privileged", jobs)
    found = table.texts("allowed_privileged_images") or (ANY,) if jobs else ()
    if services:
        found += table.texts("allowed_privileged_services") or (ANY,)
    return tuple(dict.fromkeys(found))


def _lists(table: Table) -> tuple[tuple[str, tuple[str, ...] | None], ...]:
    # An empty list allows all, as none does.
    return tuple(
        (key, table.texts(key) or None) for key in ("allowed_images", "allowed_services")
    )  # fmt: skip


def _engine(docker: Table) -> tuple[str, str]:
    """Return how it speaks to its engine without TLS, or to whom on a network that is near."""
    verified = docker.flag("tls_verify") or docker.text("tls_cert_path")
    return ("", "") if verified else peer(docker.text("host"), default="unix")


def _in_pods(made: Jobs, pods: Table) -> Jobs:
    mounts = []
    for each in pods.table("volumes").tables("host_path"):
        place = each.text("host_path") or each.text("mount_path")
        mounts.append(Mount(place, each.text("mount_path"), each.flag("read_only")))
    privileged = _privileged(pods)
    capabilities = list(pods.texts("cap_add") or ())
    rights = ["allow_privilege_escalation"] if pods.flag("allow_privilege_escalation") else []
    for kind in ("build", "helper", "service"):
        context = pods.table(f"{kind}_container_security_context")
        if context.flag("privileged"):
            privileged += (ANY,)
        if context.flag("allow_privilege_escalation"):
            rights.append(f"allow_privilege_escalation of {kind} containers")
        capabilities += context.table("capabilities").texts("add") or ()
    return replace(
        made,
        privileged=tuple(dict.fromkeys(privileged)),
        mounts=tuple(mounts),
        capabilities=tuple(dict.fromkeys(capabilities)),
        rights=tuple(rights),
        images=_lists(pods),
        pull_policies=_pod_policies(pods),
        unread="its pod_spec changes the pods of jobs" if "pod_spec" in pods else "",
    )


def _pod_policies(pods: Table) -> tuple[str, ...]:
    said = pods.texts("allowed_pull_policies") or pods.texts("pull_policy")
    return tuple(each for each in said if each) if said and any(said) else ("the cluster's own",)


def _connections(table: Table) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return how its connections can be listened to, and the names that do not tell."""
    plain, near = [], []
    for key in ("url", "clone_url"):
        fault, name = peer(table.text(key))
        plain += [f"{key} {fault}"] if fault else []
        near += [name] if name else []
    if table.table("cache").table("s3").flag("insecure"):
        fault, _ = peer(f"http://{table.table('cache').table('s3').text('serveraddress')}")
        plain += [f"the cache {fault}"] if fault else []
    if table.table("ssh").flag("disable_strict_host_key_checking"):
        plain.append("host keys of the machine that runs jobs are not checked")
    for name, value in _variables(table):
        off = value.lower() not in ("", "0", "false") if name == _UNVERIFIED[0] else value == "0"
        if name in _UNVERIFIED and off:
            plain.append(f"{name}={value} in environment")
    return tuple(plain), tuple(dict.fromkeys(near))


def _variables(table: Table) -> list[tuple[str, str]]:
    found: list[str] = [*(table.texts("environment") or ())]
    for section in ("docker", "kubernetes"):
        for each in table.table(section).tables("services"):
            found += each.texts("environment") or ()
    pairs: list[Any] = [each.partition("=") for each in found]
    return [(name, value) for name, _, value in pairs]


def _secrets(table: Table) -> tuple[str, ...]:
    scripts = {key: table.text(key).encode("utf-8", "replace") for key in _SCRIPTS}
    cut = [key for key, text in scripts.items() if PLACEHOLDER.search(_OF_JOB.sub(b"", text))]
    return tuple(dict.fromkeys([*secret_names(_variables(table)), *cut]))
