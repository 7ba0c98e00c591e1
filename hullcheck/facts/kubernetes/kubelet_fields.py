"""The settings of a kubelet that controls ask for, with their flags and both sets of defaults.

Names are those of a KubeletConfiguration (kubelet.config.k8s.io/v1beta1); see kubelet(1) and
pkg/kubelet/apis/config/v1beta1/defaults.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

__all__ = ["FIELDS", "Field", "Value"]

Value = bool | int | str | list[str] | dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Field:
    """One setting.

    :param kind: bool, int, text, list, map, or time: a text such as 4h0m0s.
    :param default: where a file is loaded; ``legacy``: where none is.
    :param zero_is_default: whether the zero of its type, in the file, counts as not said; in a
        drop-in and in a flag it counts.
    """

    name: str
    flag: str
    kind: str
    default: Value
    legacy: Value
    zero_is_default: bool = False


def _same(
    name: str, flag: str, kind: str, default: Value = None, zero_is_default: bool = False
) -> Field:
    return Field(name, flag, kind, default, default, zero_is_default)


_EVICTION = {
    "memory.available": "100Mi", "nodefs.available": "10%", "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
}  # fmt: skip

FIELDS: Final = {each.name: each for each in (
    Field("authentication.anonymous.enabled", "anonymous-auth", "bool", False, True),
    Field("authentication.webhook.enabled", "authentication-token-webhook", "bool", True, False),
    Field("authorization.mode", "authorization-mode", "text", "Webhook", "AlwaysAllow", True),
    Field("readOnlyPort", "read-only-port", "int", 0, 10255),
    _same("authentication.x509.clientCAFile", "client-ca-file", "text", ""),
    _same("address", "address", "text", str(IPv4Address(0)), True),
    _same("port", "port", "int", 10250, True),
    _same("enableServer", "enable-server", "bool", True),
    _same("healthzPort", "healthz-port", "int", 10248),
    _same("healthzBindAddress", "healthz-bind-address", "text", "127.0.0.1", True),
    _same("streamingConnectionIdleTimeout", "streaming-connection-idle-timeout", "time", "4h0m0s",
          True),
    _same("makeIPTablesUtilChains", "make-iptables-util-chains", "bool", True),
    _same("eventRecordQPS", "event-qps", "int", 50),
    _same("tlsCertFile", "tls-cert-file", "text", ""),
    _same("tlsPrivateKeyFile", "tls-private-key-file", "text", ""),
    _same("tlsCipherSuites", "tls-cipher-suites", "list"),
    _same("tlsMinVersion", "tls-min-version", "text", ""),
    _same("rotateCertificates", "rotate-certificates", "bool", False),
    _same("serverTLSBootstrap", "rotate-server-certificates", "bool", False),
    _same("podPidsLimit", "pod-max-pids", "int", -1),
    _same("seccompDefault", "seccomp-default", "bool", False),
    _same("protectKernelDefaults", "protect-kernel-defaults", "bool", False),
    _same("staticPodPath", "pod-manifest-path", "text", ""),
    _same("staticPodURL", "manifest-url", "text", ""),
    _same("cgroupDriver", "cgroup-driver", "text", "cgroupfs", True),
    _same("evictionHard", "eviction-hard", "map", _EVICTION),
    _same("mergeDefaultEvictionSettings", "", "bool", False),
    _same("evictionSoft", "eviction-soft", "map", {}),
    _same("enableDebuggingHandlers", "enable-debugging-handlers", "bool", True),
    _same("enableProfilingHandler", "", "bool", True),
    _same("enableDebugFlagsHandler", "", "bool", True),
    _same("enableSystemLogHandler", "", "bool", True),
    _same("enableSystemLogQuery", "", "bool", False),
    _same("containerLogMaxSize", "container-log-max-size", "text", "10Mi", True),
    _same("containerLogMaxFiles", "container-log-max-files", "int", 5),
    _same("imageGCHighThresholdPercent", "image-gc-high-threshold", "int", 85),
    _same("imageGCLowThresholdPercent", "image-gc-low-threshold", "int", 80),
    _same("containerRuntimeEndpoint", "container-runtime-endpoint", "text",
          "unix:///run/containerd/containerd.sock", True),
    _same("failSwapOn", "fail-swap-on", "bool", True),
    _same("allowedUnsafeSysctls", "allowed-unsafe-sysctls", "list"),
    _same("featureGates", "feature-gates", "map", {}),
    _same("podLogsDir", "", "text", "/var/log/pods", True),
    _same("maxPods", "max-pods", "int", 110, True),
)}  # fmt: skip
"""By name."""
