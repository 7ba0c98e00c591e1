"""A site's own values, which controls judge by."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hullcheck.inventory.document import Node, load

__all__ = ["Policy", "digest", "load_policy", "policy_values"]


@dataclass(frozen=True, slots=True)
class Policy:
    """What a site allows. A value of None means that the site has not said.

    :param trusted_users: accounts that may reach an engine, which makes them root.
    :param sudo_users: accounts that may become root through sudo or doas, with their password.
    :param passwordless_sudo_users: those that may do so without one: an automation's, an audit's.
    :param preloaded_libraries: libraries that /etc/ld.so.preload may put into every program.
    :param maximum_password_age: days after which a password must be another one.
    :param cron_users: accounts beside root that may leave jobs for cron and at.
    :param insecure_registries: registries that may be spoken to without TLS.
    :param build_entitlements: what builds may ask BuildKit for beyond a container's rights:
        network.host, security.insecure, device.
    :param log_drivers: log drivers that send container logs off the host, beyond the known ones.
    :param authorization_plugins: authorization plugins of which at least one must be in use.
    :param cgroup_parents: cgroup parents that containers may run under.
    :param capabilities: capabilities that containers may have beyond the harmless ones.
    :param host_paths: directories and files of the host that containers may mount.
    :param devices: device files of the host that containers may be given.
    :param published_ports: ports of the host that containers may publish; [] is none.
    :param listening_ports: ports of the host on which anything may listen for other machines, by
        TCP or UDP; beside those of ``published_ports``, which containers may have.
    :param engines: whose containers may run: docker, podman, containerd, cri-o, runc, lxc …
    :param administration_ports: ports on which nothing in a container may listen, in place of the
        usual ones of login servers, remote desktops, debuggers and engines.
    :param maximum_container_age: days that a container may run before it is replaced.
    :param plain_variables: environment variables that hold no secret, whatever their names say.
    :param registries: where images may come from: registries, parts of them or repositories, such
        as registry.example:5000, docker.io/library or ghcr.io/acme/app.
    :param base_images: what images may be built on, written likewise, or as the id (sha256:…) of
        an image that was made here; without it, whatever comes from ``registries``.
    :param image_signers: who may sign images, as the engine names signers: an e-mail address, the
        URI of a workflow or of an owner, DHI.
    :param verified_images: digests (sha256:…) of images whose signatures the site has verified.
    :param maximum_image_age: days after which an image must have been built again; a quarter.
    :param build_directories: folders of hosts below which build files lie: Dockerfiles, compose
        files, pipelines, on whatever is mounted there; those of runners' jobs are found too.
    :param privileged_job_images: patterns of images, as a runner's own settings write them, that
        jobs may run privileged: docker:*-dind of GitLab, plugins/docker of Drone.
    :param build_host_workloads: containers, by name or pattern, that may run on build hosts beside
        jobs.
    :param job_egress: whether jobs on build hosts may connect to any address, as far as the host's
        own packet filter is concerned; true also if a network around it restricts them.
    :param maximum_checkout_age: hours that a checkout may lie unused where jobs work.
    :param scan_reports: folders of hosts below which lie reports of scanners, bills of materials
        and attestations, as JSON; whoever names one asks that each image in use has a report.
    :param scanner: whose reports count: trivy, grype …; without it, those of any. It asks for them
        likewise.
    :param report_writers: accounts beside root, and those of ``trusted_users``, that may have
        written such documents: a scanner's own.
    :param maximum_scan_age: days after which an image must have been scanned again.
    :param maximum_database_age: days that a scanner's database may be old when it is used; five is
        what Grype itself allows.
    :param fixable_severities: which flaws must not be in images that run, once a fix is known:
        critical, high, medium, low.
    :param fix_grace: days that a fix may be known and not be taken in; PCI DSS 6.3.3 has a month.
    :param accepted_flaws: flaws (CVE-…) that the site has looked at and found not to matter.
    :param sboms: whether each image in use must have a bill of materials.
    :param builders: ids of what may build images, as provenance names it, or how they begin up to
        a slash or an @; whoever names one asks that each image in use has provenance.
    :param action_owners: owners whose actions pipelines may use by tag; others' by commit only.
    :param maximum_unused_images: how many images may lie on an engine that no container uses.
    :param maximum_stopped_containers: how many containers may lie on an engine and not run.
    :param maximum_stopped_age: days after which a container that does not run is forgotten.
    :param image_setuid_allowed: setuid and setgid programs that images may hold, by path or name.
    :param image_programs_allowed: programs that images may hold though they serve intruders, by
        path, name or kind: package manager, compiler, debugger, login server, network tool.
    :param setuid_allowed: programs of hosts that may be setuid or setgid or have capabilities,
        beside those that distributions have so: by path, by a folder ending in / or, below /usr
        and /opt, by name; [] is none.
    :param minimum_free_space: percent of a file system with containers' files that must be free,
        and of its inodes.
    :param hidden_processes: whether users may see no processes but their own (hidepid of /proc).
    :param minimum_engine_version: the oldest Docker engine that may run, such as "28.5".
    :param router_advertisements: whether hosts may take IPv6 addresses and routes from what
        routers announce on the network.
    :param automatic_updates: whether hosts install security updates by themselves; false if the
        site rolls them out in another way.
    :param maximum_update_list_age: days that a host's lists of updates may be old and still tell;
        apt's own timer can leave nearly two between.
    :param services_allowed: old network services that hosts may run: tftp, rpcbind, cups …
    :param audit_log_megabytes: how much of the audit log must stay on a host.
    :param log_forwarders: programs, by file name, that send a host's logs off it, beyond those
        whose settings are read.
    :param runtime_sensors: programs that watch a host for intruders, beyond the known ones.
    :param integrity_tools: programs that look for changed files, of which the site has seen that
        they look at engines.
    :param kernel_modules: modules that the kernel may load though hardly anybody uses them: sctp,
        udf (Azure), usb-storage.
    :param swarm: whether engines may be in a swarm.
    :param swarm_managers: how many managers a swarm is to have.
    :param swarm_certificate_days: how long the certificate of a swarm's node may be valid.
    :param swarm_ca_days: how old the root of a swarm's authority may be; a key that signs is to
        serve for at most three years (NIST SP 800-57 Part 1, table 1).
    :param swarm_unlock_key_days: how old the key that unlocks a swarm's managers may be.
    :param swarm_token_days: how old the tokens with which nodes join a swarm may be.
    :param swarm_external_cas: services, by URL, that may sign the certificates of swarms' nodes.
    :param cluster_from_node: whether an audit of a control-plane node may ask the cluster by the
        administrator's kubeconfig that lies there; kubernetes:// needs no such leave.
    :param cluster_subjects: who may have power over a whole cluster, as patterns: User:alice,
        Group:ops-*, ServiceAccount:flux-system/*; or one power only, before it: secrets
        ServiceAccount:cert-manager/*; see docs/kubernetes.md.
    :param cluster_workloads: what may have a host's rights in a cluster, as patterns of
        namespace/name: kube-system/kube-proxy.
    :param pod_security_default: the Pod Security Standard that the API server enforces where a
        namespace has no label (its AdmissionConfiguration): baseline, restricted.
    :param cluster_external_ips: addresses whose traffic services may take.
    :param certificate_renewal_days: how many days before its end a certificate of Kubernetes or
        etcd is to be renewed.
    :param token_pods: pods, as namespace/name or a pattern, that may have a token for the API
        server.
    :param maximum_waiver_days: how many days from today a waiver may hold.
    :param ssh_forwarding: what SSH may forward: tcp (jump hosts), agent, stream (sockets; Podman's
        remote client), gateway (ports opened to others), tunnel.
    :param privileged_keys: fingerprints (SHA256:…) of the SSH keys that may let somebody in as
        root, or as a user who is as good as root.
    """

    trusted_users: tuple[str, ...] | None = None
    sudo_users: tuple[str, ...] | None = None
    passwordless_sudo_users: tuple[str, ...] = ()
    preloaded_libraries: tuple[str, ...] | None = None
    maximum_password_age: int | None = None
    cron_users: tuple[str, ...] = ()
    insecure_registries: tuple[str, ...] = ()
    build_entitlements: tuple[str, ...] = ()
    log_drivers: tuple[str, ...] = ()
    authorization_plugins: tuple[str, ...] | None = None
    cgroup_parents: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    host_paths: tuple[str, ...] = ()
    devices: tuple[str, ...] = ()
    published_ports: tuple[int, ...] | None = None
    listening_ports: tuple[int, ...] | None = None
    engines: tuple[str, ...] | None = None
    administration_ports: tuple[int, ...] | None = None
    maximum_container_age: int | None = None
    plain_variables: tuple[str, ...] = ()
    registries: tuple[str, ...] | None = None
    base_images: tuple[str, ...] | None = None
    image_signers: tuple[str, ...] | None = None
    verified_images: tuple[str, ...] | None = None
    maximum_image_age: int = 90
    build_directories: tuple[str, ...] | None = None
    privileged_job_images: tuple[str, ...] = ()
    build_host_workloads: tuple[str, ...] | None = None
    job_egress: bool | None = None
    maximum_checkout_age: int | None = None
    scan_reports: tuple[str, ...] | None = None
    scanner: str | None = None
    report_writers: tuple[str, ...] = ()
    maximum_scan_age: int = 30
    maximum_database_age: int = 5
    fixable_severities: tuple[str, ...] = ("critical",)
    fix_grace: int = 30
    accepted_flaws: tuple[str, ...] = ()
    sboms: bool | None = None
    builders: tuple[str, ...] | None = None
    action_owners: tuple[str, ...] = ("actions", "github")
    maximum_unused_images: int = 20
    maximum_stopped_containers: int = 10
    maximum_stopped_age: int = 30
    image_setuid_allowed: tuple[str, ...] = ()
    image_programs_allowed: tuple[str, ...] = ()
    setuid_allowed: tuple[str, ...] | None = None
    minimum_free_space: int = 15
    hidden_processes: bool | None = None
    minimum_engine_version: str | None = None
    router_advertisements: bool | None = None
    automatic_updates: bool | None = None
    maximum_update_list_age: int = 2
    services_allowed: tuple[str, ...] = ()
    audit_log_megabytes: int | None = None
    log_forwarders: tuple[str, ...] = ()
    runtime_sensors: tuple[str, ...] = ()
    integrity_tools: tuple[str, ...] = ()
    kernel_modules: tuple[str, ...] = ()
    swarm: bool | None = None
    swarm_managers: int | None = None
    swarm_certificate_days: int = 90
    swarm_ca_days: int = 1095
    swarm_unlock_key_days: int | None = None
    swarm_token_days: int | None = None
    swarm_external_cas: tuple[str, ...] | None = None
    cluster_from_node: bool = False
    cluster_subjects: tuple[str, ...] | None = None
    cluster_workloads: tuple[str, ...] | None = None
    pod_security_default: str | None = None
    cluster_external_ips: tuple[str, ...] = ()
    certificate_renewal_days: int = 30
    token_pods: tuple[str, ...] | None = None
    maximum_waiver_days: int = 366
    ssh_forwarding: tuple[str, ...] = ("stream",)
    privileged_keys: tuple[str, ...] | None = None

    def merged(self, values: Mapping[str, Any]) -> Policy:
        """Return this policy with some values replaced; a list replaces a list."""
        return dataclasses.replace(self, **values) if values else self


def load_policy(path: Path | str) -> Policy:
    """Read a policy file: a mapping of the fields of :class:`Policy`.

    :raises DocumentError: it cannot be read, has an unknown key or a value of a wrong type.
    """
    return Policy().merged(policy_values(load(path)))


def policy_values(node: Node) -> dict[str, Any]:
    """Return the policy values of a mapping; ``null`` says again that the site has not said.

    :raises DocumentError: an unknown key, or a value of a wrong type.
    """
    kinds = _kinds(Policy)
    return {key: _value(found, kinds[key]) for key, found in node.keys(kinds).items()}


@functools.cache
def _kinds(of: type) -> dict[str, Any]:
    return typing.get_type_hints(of)


def _value(node: Node, kind: Any) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        if node.absent and type(None) in args:
            return None
        return _value(node, next(arg for arg in args if arg is not type(None)))
    if origin in (tuple, frozenset):
        if node.absent:
            raise node.error(f"{node.name} is empty; write a list, [] for none")
        return origin(_value(each, args[0]) for each in node.items())
    if origin is dict or kind is dict:
        return {key: _value(each, args[1]) for key, each in node.keys().items()}
    readers: dict[Any, Callable[[Node], Any]] = {str: Node.text, int: Node.number, bool: Node.flag}
    if kind not in readers:
        raise TypeError(f"no policy value can be of type {kind}")
    return readers[kind](node)


def digest(policies: Iterable[Policy]) -> str:
    """Return a digest of the policies that a run judged by; order and repetition do not count.

    Only what differs from the defaults is hashed: a field that a later version adds and no site
    sets changes nothing.
    """
    distinct = sorted({_canonical(policy) for policy in policies})
    return f"sha256:{hashlib.sha256(json.dumps(distinct).encode()).hexdigest()}"


def _canonical(policy: Policy) -> str:
    defaults = dataclasses.asdict(Policy())
    said = {key: value for key, value in dataclasses.asdict(policy).items()
            if value != defaults[key]}  # fmt: skip
    return json.dumps(said, sort_keys=True, default=sorted)
