"""What the controls of kubelets and kube-proxies ask of settings and files."""

from __future__ import annotations

from hullcheck.control import Unknown, expect
from hullcheck.facts.kubernetes.kubelet_fields import Value
from hullcheck.facts.kubernetes.kubelet_files import KubeletFile
from hullcheck.facts.kubernetes.kubelet_settings import KubeletSettings

from ..build.closed import expect_closed

__all__ = ["expect_kept", "expect_private", "expect_setting", "number"]


def expect_setting(settings: KubeletSettings, name: str, *, equals: Value) -> None:
    """Expect a setting to have a value, whether it was set or is the default that applies."""
    told = settings.get(name)
    expect(told.value, equals=equals, what=f"{name} by {told.source}")


def number(settings: KubeletSettings, name: str) -> int:
    """Return a setting that is a number. :raises Unknown: it is none."""
    value = settings.get(name).value
    if not isinstance(value, int) or isinstance(value, bool):
        raise Unknown(f"{name} is no number")
    return value


def expect_private(each: KubeletFile) -> None:
    """Expect that nobody but root and its own user reads, changes or replaces a file.

    The way to it counts: behind a directory that others cannot pass, a mode of 644 shows nothing.

    :raises NotApplicable: there is no such file. :raises Unknown: it cannot be seen.
    """
    expect_closed(each.names, each.trusted)


def expect_kept(each: KubeletFile) -> None:
    """Expect that nobody else can change or replace a file. Raises like :func:`expect_private`."""
    for file in each.names:
        ways = file.writable_by_others(each.trusted)
        expect(ways, equals=[], what=f"what lets others change {file}")
