from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck.facts.shell import Unreadable, parse


def words(script):
    return [each.words for each in parse(script)]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("apt-get update && apt-get install -y 'a b'",
         [["apt-get", "update"], ["apt-get", "install", "-y", "a b"]]),
        ("a;b\nc || d & e", [["a"], ["b"], ["c"], ["d"], ["e"]]),
        ("a b#c # d\ne", [["a", "b#c"], ["e"]]),
        ("wget http://x/#y", [["wget", "http://x/#y"]]),
        ("a \\\n  b", [["a", "b"]]),
        ("echo 'x'\"y \\\" $z\"w", [["echo", 'xy " $zw']]),
        ("if ! a; then b; else c; fi", [["a"], ["b"], ["c"]]),
        ("while a; do b; done; { c; } ; (d)", [["a"], ["b"], ["c"], ["d"]]),
        ("case $x in y) a;; esac", [["case", "$x", "in", "y"], ["a"]]),
        ("a >/dev/null 2>&1 <in b", [["a", "b"]]),
        ("A=1 B='x y' a", [["a"]]),
        ("sudo -u bob -E env C=2 timeout 30 a b", [["a", "b"]]),
        ("echo ${A:-b c} d", [["echo", "${A:-b c}", "d"]]),
        ("echo 'never closed", [["echo", "never closed"]]),
        ("", []),
    ],
)  # fmt: skip
def test_a_script_is_its_commands(script, expected):
    assert words(script) == expected


@pytest.mark.parametrize(
    "script",
    [
        "bash -c 'apt-get update'", "sh -euxc 'apt-get update'", "eval apt-get update",
        "echo $(apt-get update)", "echo `apt-get update`", 'echo "x$(apt-get update)y"',
        "cat <(apt-get update)", "sh <<E\napt-get update\nE\n", "sh <<-'E'\n\tapt-get update\n\tE",
        "bash <<<'apt-get update'", "sudo sh -c \"bash -c 'apt-get update'\"",
    ],
)  # fmt: skip
def test_commands_inside_others_are_found_once(script):
    assert words(script).count(["apt-get", "update"]) == 1


def test_pipes_tell_where_input_comes_from():
    for script in ("a x | b", "(a x; ) | b", "{ a x; } |& b", "a x |\n b"):
        last = parse(script)[-1]
        assert (last.program, last.after and last.after.words) == ("b", ["a", "x"]), script
    assert parse("a; b")[1].after is None


def test_assignments_and_documents_belong_to_their_command():
    (made,) = parse("A=1 env B='x y' cat <<E >/etc/z\ngpgcheck=0\nE\n")
    assert made.assignments == {"A": "1", "B": "x y"}
    assert (made.words, made.stdin) == (["cat"], "gpgcheck=0")


def test_what_is_too_deep_or_too_long_is_not_read():
    with pytest.raises(Unreadable):
        parse("$(" * 30 + "curl -k x" + ")" * 30)
    with pytest.raises(Unreadable):
        parse("a " * 40_000)


@given(st.text(alphabet="ab $(){}`'\"\\|&;<>#\n-=EOF", max_size=200))
def test_no_text_breaks_it(text):
    try:
        found = parse(text)
    except Unreadable:
        return
    assert all(isinstance(word, str) for each in found for word in each.words)


@given(st.text(alphabet="ab $'\"\\|&;<>#\n=", max_size=60))
def test_what_stands_before_a_command_in_a_line_of_its_own_hides_it_only_by_a_quote(text):
    if "'" not in text and '"' not in text and "<<" not in text and "\\" not in text:
        assert ["curl", "-k", "x"] in words(f"{text}\ncurl -k x\n") or text.rstrip(" ").endswith(
            ("<", ">", "=")
        )
