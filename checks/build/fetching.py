"""Which settings of tools that fetch code leave what they fetch unverified."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from hullcheck.facts.fetch_settings import Setting

from .packages import OFF, PLAIN, unchecked, unverified_setting

__all__ = ["further_index", "unsafe"]

WHOLE = frozenset({
    "*", "**", "*/*", "github.com", "github.com/*", "gitlab.com", "gitlab.com/*", "bitbucket.org",
    "bitbucket.org/*", "golang.org", "golang.org/*", "gopkg.in", "gopkg.in/*", "*.com", "*.org",
})  # fmt: skip
"""Patterns of Go modules that are not some house's own."""

PLACES = re.compile(
    r"(.*:)?registry|index(-url)?|extra-index-url|find-links|default-index|url|npmRegistryServer"
    r"|channels|default_channels|channel_alias|sources|mirror|repository|pluginRepository"
    r"|BUNDLE_MIRROR__.*|GOPROXY|(UV|PIP)_(EXTRA_|DEFAULT_)?INDEX(_URL)?|NPM_CONFIG_REGISTRY"
)
"""Names of what says where something is fetched from."""


def _off(value: str) -> bool:
    return value.lower().split()[:1] in [[each] for each in OFF]


def _everything(value: str) -> bool:
    return bool(WHOLE & {each.strip() for each in value.split(",")})


SWITCHES: Mapping[str, Callable[[str], bool]] = {
    "strict-ssl": _off, "enableStrictSsl": _off,
    "ssl_verify": _off, "CONDA_SSL_VERIFY": _off,
    "ssl_verify_mode": lambda value: value == "0",
    "BUNDLE_SSL_VERIFY_MODE": lambda value: value == "0",
    "checkcertificate": _off,
    "secure-http": _off, "disable-tls": lambda value: value == "true",
    "insecure_skip_tls_verify": lambda value: value == "true",
    "trusted-host": bool, "allow-insecure-host": bool, "unsafeHttpWhitelist": bool,
    "GOSUMDB": lambda value: value == "off", "GOINSECURE": bool,
    "GOFLAGS": lambda value: "-insecure" in value.split(),
    "GONOSUMDB": _everything, "GOPRIVATE": _everything,
}  # fmt: skip
"""When a value turns verification off, by name."""

HOSTS = frozenset({
    "trusted-host", "allow-insecure-host", "pip-trusted-host", "uv-insecure-host",
    "unsafehttpwhitelist",
})  # fmt: skip
LOOPBACK = re.compile(r"(https?://)?(localhost|127\.[0-9.]+|\[?::1\]?)(:\d+)?/?")

FURTHER = frozenset({"extra-index-url", "PIP_EXTRA_INDEX_URL", "UV_EXTRA_INDEX_URL"})


def _plain(value: str) -> bool:
    """Whether a place, or one of several, is spoken to in the clear, and is not this host."""
    return any(
        PLAIN.match(re.sub(r"^(sparse|registry)\+", "", word))
        for word in re.split(r"[\s,|]+", value)
    )


def unsafe(setting: Setting) -> bool:
    """Whether a setting lets code in that nobody has vouched for."""
    if setting.name.lower().replace("_", "-") in HOSTS and all(
        LOOPBACK.fullmatch(each) for each in setting.value.split()
    ):
        return False
    if setting.tool == "curl":
        return unchecked("curl", setting.name)
    if setting.tool == "env" and unverified_setting(setting.name, setting.value):
        return True
    switch = SWITCHES.get(setting.name)
    if switch is not None:
        return switch(setting.value)
    return bool(PLACES.fullmatch(setting.name)) and _plain(setting.value)


def further_index(setting: Setting) -> bool:
    """Whether a package may come from a second index, whichever has the higher version."""
    places = setting.value.split()
    if setting.name == "UV_INDEX_STRATEGY":
        return setting.value.startswith("unsafe-")
    remote = [each for each in places if not each.startswith(("file:", "/"))]
    return setting.name in FURTHER and bool(remote)
