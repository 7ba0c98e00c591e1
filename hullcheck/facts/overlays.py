"""What a mounted overlay tells of the directories it is made of; overlayfs, kernel
Documentation/filesystems/overlayfs.rst."""

from __future__ import annotations

import posixpath
import re

from hullcheck.control import Unknown
from hullcheck.facts.mounts import Mount

__all__ = ["lower_directories", "overlay_option"]

_ESCAPE = re.compile(r"\\(?:x([0-9a-f]{2})|([0-7]{3})|(.))")


def overlay_option(mount: Mount, name: str) -> str:
    """Return a path among the options of an overlay as it was given; "" if it is not there.

    :raises Unknown: it has a comma in it, at which the options were taken apart.
    """
    return _plain(_written(mount, name))


def lower_directories(mount: Mount) -> list[str]:
    """Return the lower directories of an overlay, the uppermost first.

    Relative ones, which containerd writes when there are many, are relative to where the upper
    directory's own snapshot lies (containerd, mount/mount_linux.go, compactLowerdirOption).

    :raises Unknown: they are told in a way that loses their order, or are relative to nothing.
    """
    if any(each.startswith("lowerdir+=") for each in mount.super_options):
        raise Unknown("its overlay tells its lower directories one by one")
    written = _written(mount, "lowerdir")
    found = [_plain(each) for each in re.split(r"(?<!\\):", written) if each]
    upper = overlay_option(mount, "upperdir")
    home = posixpath.dirname(posixpath.dirname(upper))
    if not all(each.startswith("/") for each in found) and not home.startswith("/"):
        raise Unknown("its overlay tells paths relative to a place that cannot be seen")
    return [posixpath.normpath(posixpath.join(home, each)) for each in found]


def _written(mount: Mount, name: str) -> str:
    found = [each for each in mount.super_options if each.startswith(f"{name}=")]
    value = found[0].partition("=")[2] if found else ""
    if value.endswith("\\") or "\\054" in value:
        raise Unknown(f"the {name} of its root has a comma in it")
    return value


def _plain(written: str) -> str:
    return _ESCAPE.sub(_unescaped, written)


def _unescaped(found: re.Match[str]) -> str:
    if found[1]:
        return chr(int(found[1], 16))
    return chr(int(found[2], 8)) if found[2] else found[3]
