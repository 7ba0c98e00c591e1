from __future__ import annotations

import base64
import hmac
from pathlib import Path

import pytest

from hullcheck.transport import Unreachable
from hullcheck.transport.known_hosts import fingerprint, look_up, verify

RED, BLUE = b"\0\0\0\x0bssh-ed25519red", b"\0\0\0\x0bssh-ed25519blue"


def line(names: str, blob: bytes = RED, kind: str = "ssh-ed25519", marker: str = "") -> str:
    return f"{marker} {names} {kind} {base64.b64encode(blob).decode()} comment\n".lstrip()


def hashed(name: str) -> str:
    salt = b"0123456789abcdefghij"
    parts = (salt, hmac.digest(salt, name.encode(), "sha1"))
    return "|1|" + "|".join(base64.b64encode(part).decode() for part in parts)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


def known(file: Path, name: str) -> list[int]:
    return [key.line for key in look_up([file], name)]


def test_lines_come_in_their_order_and_a_changed_file_is_read_again(file: Path) -> None:
    file.write_text(line("web,WEB") + line("*") + line("db") + line(hashed("web")) + line("web"))
    assert known(file, "web") == [1, 2, 4, 5]
    file.write_text(line("db") + line("web"))
    assert known(file, "web") == [2]


@pytest.mark.parametrize(
    ("names", "name", "matches"),
    [
        ("web", "web", True),
        ("WEB", "web", True),
        ("web,10.0.0.1", "10.0.0.1", True),
        ("web", "web1", False),
        ("*.corp", "web.corp", True),
        ("*.corp", "webxcorp", False),
        ("web?", "web1", True),
        ("*,!web", "web", False),
        ("!web,*", "web", False),
        ("*,!web", "db", True),
        ("!web", "db", False),
        ("[web]:2201", "[web]:2201", True),
        ("[web]:2201", "web", False),
        ("w.b", "web", False),
        (hashed("web"), "web", True),
        (hashed("[web]:2201"), "[web]:2201", True),
        (hashed("web"), "db", False),
        ("|1|nonsense", "web", False),
        ("|1|a|b|c", "web", False),
    ],
)
def test_names(file: Path, names: str, name: str, matches: bool) -> None:
    file.write_text("# nothing\n\n" + line(names))
    assert known(file, name) == ([3] if matches else [])


def test_lines_that_say_nothing_are_passed_over(file: Path) -> None:
    file.write_bytes(b"web\nweb ssh-ed25519 !!!\n#web ssh-ed25519 AAAA\n\xff\xfe\n")
    assert known(file, "web") == []
    assert look_up([file.parent / "none"], "web") == []


def test_a_fingerprint_is_what_openssh_shows() -> None:
    assert fingerprint(b"") == "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU"


def check(file: Path, *names: str, blob: bytes = RED, client: str = "paramiko") -> None:
    verify("web1", names, [file], "ssh-ed25519", fingerprint(blob), client)


def test_a_known_key_is_let_through(file: Path) -> None:
    file.write_text(line("web", BLUE) + line("web"))
    check(file, "web")


def test_a_key_may_be_known_without_the_port_as_in_openssh(file: Path) -> None:
    file.write_text(line("web"))
    check(file, "[web]:2201", "web")


def refusal(file: Path, *names: str, blob: bytes = RED, client: str = "paramiko") -> str:
    with pytest.raises(Unreachable) as caught:
        check(file, *names, blob=blob, client=client)
    assert caught.value.kind == "host-key"
    return str(caught.value)


def test_unknown(file: Path) -> None:
    file.write_text(line("db"))
    said = refusal(file, "web")
    for fact in ("web1", "ssh-ed25519", fingerprint(RED), str(file)):
        assert fact in said


def test_changed_names_the_old_key_its_line_and_the_remedy(file: Path) -> None:
    file.write_text("\n" + line("[web]:2201", BLUE))
    said = refusal(file, "[web]:2201", "web")
    for fact in (fingerprint(RED), fingerprint(BLUE), f"{file}:2", "ssh-keygen -R '[web]:2201'"):
        assert fact in said


def test_another_type_of_key_does_not_make_it_known(file: Path) -> None:
    file.write_text(line("web", BLUE, kind="ssh-rsa"))
    assert f"ssh-rsa {fingerprint(BLUE)}" in refusal(file, "web")


def test_revoked_beats_known(file: Path) -> None:
    file.write_text(line("web") + line("*", marker="@revoked"))
    assert f"{file}:2 says is revoked" in refusal(file, "web")


def test_another_key_that_is_revoked_changes_nothing(file: Path) -> None:
    file.write_text(line("web") + line("*", BLUE, marker="@revoked"))
    check(file, "web")


def test_an_authority_is_no_plain_key(file: Path) -> None:
    file.write_text(line("*", marker="@cert-authority"))
    assert "use ssh://" in refusal(file, "web")
    assert "ssh://" not in refusal(file, "web", client="ssh")


def test_a_file_that_cannot_be_read_is_no_empty_file(tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match="cannot be read"):
        look_up([tmp_path], "web")
