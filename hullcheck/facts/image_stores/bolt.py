"""Reading a bbolt database (go.etcd.io/bbolt, page.go, bucket.go): a B+tree of pages in one file.

Only what a snapshotter of containerd writes is needed: buckets in buckets, with keys and values.
The text is hostile: every page is looked at once a walk, and nothing is believed that lies outside.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from hullcheck.control import Unknown

__all__ = ["Bucket", "open_database"]

MAGIC = 0xED0CDAED
BRANCH, LEAF = 0x01, 0x02
IS_BUCKET = 0x01
DEEPEST = 30
HEADER = 16
SIZES = (4096, 8192, 16384, 65536)
_PRIME, _BASIS, _MASK = 0x100000001B3, 0xCBF29CE484222325, (1 << 64) - 1


class Bucket:
    """One bucket.

    :param data: the whole file. ``root``: the page its tree begins on; 0 if ``inline`` holds it.
    """

    def __init__(self, data: bytes, size: int, root: int, inline: bytes = b"") -> None:
        self._data, self._size = data, size
        self._root, self._inline = root, inline

    def items(self) -> Iterator[tuple[bytes, bytes | Bucket]]:
        """Yield keys with their values, or the buckets that they are.

        :raises Unknown: the file is damaged.
        """
        try:
            yield from self._walk(self._inline or self._page(self._root), 0, set())
        except (struct.error, IndexError, OverflowError):
            raise Unknown("a database of containerd's is damaged, or was written to") from None

    def at(self, *names: str) -> Bucket | None:
        """Return a bucket inside, by its names; None if it is not there."""
        here: Bucket = self
        for name in names:
            found = [value for key, value in here.items() if key == name.encode()]
            if not found or not isinstance(found[0], Bucket):
                return None
            here = found[0]
        return here

    def values(self) -> dict[bytes, bytes]:
        """Return what is in it but for buckets."""
        return {key: value for key, value in self.items() if isinstance(value, bytes)}

    def _walk(
        self, page: bytes, depth: int, seen: set[int]
    ) -> Iterator[tuple[bytes, bytes | Bucket]]:
        flags, count = struct.unpack_from("<HH", page, 8)
        if depth > DEEPEST or not flags & (BRANCH | LEAF):
            raise Unknown("a database of containerd's is damaged, or was written to")
        for number in range(count):
            place = HEADER + number * 16
            if flags & BRANCH:
                child = struct.unpack_from("<Q", page, place + 8)[0]
                if child in seen:
                    raise Unknown("a database of containerd's goes in circles")
                seen.add(child)
                yield from self._walk(self._page(child), depth + 1, seen)
                continue
            kind, at, key, value = struct.unpack_from("<IIII", page, place)
            first = place + at
            text = page[first + key : first + key + value]
            if len(text) != value:
                raise IndexError
            yield page[first : first + key], self._bucket(text) if kind & IS_BUCKET else text

    def _bucket(self, value: bytes) -> Bucket:
        root = struct.unpack_from("<Q", value)[0]
        return Bucket(self._data, self._size, root, b"" if root else value[16:])

    def _page(self, number: int) -> bytes:
        start = number * self._size
        named, _, _, more = struct.unpack_from("<QHHI", self._data, start)
        if named != number or start + (more + 1) * self._size > len(self._data):
            raise IndexError
        return self._data[start : start + (more + 1) * self._size]


def open_database(data: bytes) -> Bucket:
    """Return the bucket that all others are in, of the newest whole transaction.

    :raises Unknown: it is no such database.
    """
    found = [meta for size in SIZES for meta in _metas(data, size)]
    if not found:
        raise Unknown("a database of containerd's is none, or is not whole")
    _, size, root = max(found)
    return Bucket(data, size, root)


def _metas(data: bytes, expected: int) -> Iterator[tuple[int, int, int]]:
    """Yield transaction, page size and root page of both meta pages, if they are whole."""
    for place in (HEADER, expected + HEADER):
        meta = data[place : place + 64]
        if len(meta) < 64:
            continue
        magic, version, size, _, root, _, _, _, transaction, sum_ = struct.unpack(
            "<IIIIQQQQQQ", meta
        )
        if (magic, version, size) == (MAGIC, 2, expected) and sum_ == _hash(meta[:56]):
            yield transaction, size, root


def _hash(text: bytes) -> int:
    """FNV-1a, of 64 bits."""
    value = _BASIS
    for byte in text:
        value = (value ^ byte) * _PRIME & _MASK
    return value
