"""What commands a shell script runs, as far as its text tells: POSIX shells and bash.

Nothing is expanded or run. Quotes are taken off, substitutions are commands of their own, and a
script that another shell is given as a word (``sh -c '…'``) or on its stdin is read too. Damaged
text makes other commands, never an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

__all__ = ["SHELLS", "Command", "Unreadable", "parse", "script_of"]

SHELLS = frozenset({"sh", "bash", "dash", "ash", "zsh", "ksh", "mksh"})
DEEPEST = 12
LONGEST = 65536

_RESERVED = frozenset({"if", "then", "else", "elif", "fi", "do", "done", "while", "until", "!",
                       "esac", "{", "}", "time"})  # fmt: skip
_WRAPPERS = frozenset({"sudo", "env", "exec", "command", "builtin", "nice", "nohup", "timeout",
                       "xargs", "eatmydata", "busybox", "stdbuf", "setsid", "chroot",
                       "doas"})  # fmt: skip
_TAKING = {"sudo": "ugCDhpRrtT", "env": "uC", "timeout": "sk", "nice": "n", "xargs": "IdEaLnPs",
           "doas": "uC", "stdbuf": "ioe"}  # fmt: skip
"""Their options of one letter that take the next word."""
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)\+?=(.*)", re.DOTALL)
_BEFORE = re.compile(r"-.*|\d+[smhd]?|(?P<name>[A-Za-z_]\w*)\+?=(?P<value>.*)", re.DOTALL)
_OPERATOR = re.compile(r"&&|\|\||;;&?|\|&|&>>?|<<<|<<-?|<\(|>\(|<>|>>|>\||[<>]&|[;&|()<>]|\n")
_PLAIN = re.compile(r"[^\s\\'\"`$&|;<>()#]+")
_HERE = re.compile(r"<<-?")
_EVAL = frozenset({"eval", ".", "source"})


class Unreadable(ValueError):
    """A script is longer than anybody writes, or nests commands deeper."""


@dataclass(slots=True)
class Command:
    """A simple command.

    :param words: its words, the wrappers before it (``sudo``, ``env`` …) left out.
    :param assignments: the variables that are set for it, or by it if it has no words.
    :param stdin: what it is given to read by the script itself.
    :param outputs: the files that its output is written to.
    :param after: the command whose output it reads through a pipe.
    :param inner: the commands whose output are among its words, or a file that it is given.
    """

    words: list[str]
    assignments: dict[str, str] = field(default_factory=dict)
    stdin: str = ""
    outputs: list[str] = field(default_factory=list)
    after: Command | None = None
    inner: list[Command] = field(default_factory=list)

    @property
    def program(self) -> str:
        """The name of what it runs, without directories."""
        return self.words[0].rpartition("/")[2] if self.words else ""

    @property
    def arguments(self) -> list[str]:
        return self.words[1:]

    def __str__(self) -> str:
        return " ".join(self.words)


def parse(script: str, depth: int = 0) -> list[Command]:
    """Return all commands of a script, those inside others too.

    :raises Unreadable: there is more than anybody writes.
    """
    if depth > DEEPEST or len(script) > LONGEST:
        raise Unreadable("a script is too long, or commands stand in one another too deep")
    reader = _Reader(script, depth)
    own = [each for command in reader.read() for each in _with(command, depth)]
    return [*own, *reader.substitutions]


def _with(command: Command, depth: int) -> Iterator[Command]:
    """Yield a command, and those of the script that it runs in a shell of its own."""
    yield command
    words = command.words
    script = script_of(words) if command.program in SHELLS else None
    if script is None and command.program in _EVAL:
        script = " ".join(command.arguments)
    if script is None and command.program in SHELLS:
        script = command.stdin
    if script:
        yield from parse(script, depth + 1)


def script_of(words: list[str]) -> str | None:
    """Return the script that a shell gets with -c; None without one."""
    for number, word in enumerate(words[1:], 1):
        if re.fullmatch(r"-[a-z]*c[a-z]*", word):
            rest = [each for each in words[number + 1 :] if each not in ("-e", "-x", "-u")]
            return rest[0] if rest else ""
    return None


class _Reader:
    """Reads one script from its beginning to its end."""

    def __init__(self, text: str, depth: int) -> None:
        self.text = text
        self.depth = depth
        self.at = 0
        self.found: list[Command] = []
        self.substitutions: list[Command] = []
        self.last: Command | None = None
        self.here: list[tuple[Command, str]] = []
        self.begin(None)

    def begin(self, after: Command | None) -> None:
        self.now = Command([], after=after)
        self.word: list[str] | None = None
        self.target = ""

    def read(self) -> list[Command]:
        while self.at < len(self.text):
            self.step()
        self.end_command()
        return self.found

    def step(self) -> None:
        letter = self.text[self.at]
        if letter in " \t\r":
            self.end_word()
            self.at += 1
        elif self.text.startswith("\\\n", self.at):
            self.at += 2
        elif letter == "#" and self.word is None:
            end = self.text.find("\n", self.at)
            self.at = len(self.text) if end < 0 else end
        elif (operator := _OPERATOR.match(self.text, self.at)) is not None:
            self.at = operator.end()
            self.operator(operator[0])
        elif (plain := _PLAIN.match(self.text, self.at)) is not None:
            self.at = plain.end()
            self.add(plain[0])
        else:
            self.add(self.piece(letter))

    def add(self, text: str) -> None:
        if self.word is None:
            self.word = []
        self.word.append(text)

    # Words and what stands in them.

    def piece(self, letter: str) -> str:
        """Take a part of a word and return what it stands for."""
        self.at += 1
        if letter == "\\":
            escaped = self.text[self.at : self.at + 1]
            self.at += 1
            return "" if escaped == "\n" else escaped
        if letter == "'":
            return self.until("'")
        if letter == '"':
            return self.quoted()
        if letter == "`":
            return self.substituted(self.until("`"))
        if letter == "$":
            return self.dollar()
        return letter

    def until(self, mark: str) -> str:
        end = self.text.find(mark, self.at)
        end = len(self.text) if end < 0 else end
        taken, self.at = self.text[self.at : end], end + 1
        return taken

    def quoted(self) -> str:
        made = []
        while self.at < len(self.text) and self.text[self.at] != '"':
            letter = self.text[self.at]
            if letter in "\\`$":
                kept = letter == "\\" and self.text[self.at + 1 : self.at + 2] not in '\\"$`\n'
                made.append(("\\" if kept else "") + self.piece(letter))
            else:
                made.append(letter)
                self.at += 1
        self.at += 1
        return "".join(made)

    def dollar(self) -> str:
        following = self.text[self.at : self.at + 1]
        if following == "(":
            self.at += 1
            return self.substituted(self.enclosed("(", ")"))
        if following == "{":
            self.at += 1
            return "${" + self.enclosed("{", "}") + "}"
        if following == "'":
            self.at += 1
            return self.until("'")
        return "$"

    def enclosed(self, opening: str, closing: str) -> str:
        """Take what stands up to a closing bracket that is in no quotes."""
        first, open_, quote = self.at, 1, ""
        while self.at < len(self.text):
            letter = self.text[self.at]
            self.at += 1
            if letter == "\\" and quote != "'":
                self.at += 1
            elif quote:
                quote = "" if letter == quote else quote
            elif letter in "'\"":
                quote = letter
            else:
                open_ += (letter == opening) - (letter == closing)
                if not open_:
                    return self.text[first : self.at - 1]
        return self.text[first:]

    def substituted(self, script: str) -> str:
        inner = parse(script, self.depth + 1)
        self.substitutions += inner
        self.now.inner += inner
        return "$()"

    # Commands and what stands between them.

    def operator(self, operator: str) -> None:
        if operator in ("<(", ">("):
            self.add(self.substituted(self.enclosed("(", ")")))
        elif operator[0] in "<>" or operator.startswith("&>"):
            if "".join(self.word or ()).isdigit():
                self.word = None
            self.end_word()
            self.target = operator
        elif operator in ("|", "|&"):
            self.end_command()
            # What comes out of a group comes out of the last command in it.
            self.begin(self.last)
        elif operator != "\n" or self.word is not None or self.now.words or not self.now.after:
            self.end_command()
        if operator == "\n":
            self.documents()

    def end_word(self) -> None:
        if self.word is None:
            return
        word, self.word = "".join(self.word), None
        target, self.target = self.target, ""
        if _HERE.fullmatch(target):
            self.here.append((self.now, word))
        elif target == "<<<":
            self.now.stdin += word
        elif target:
            self.now.outputs += [word] if ">" in target else []
        elif not self.now.words and word in _RESERVED:
            return
        elif not self.now.words and (set_ := _ASSIGNMENT.fullmatch(word)):
            self.now.assignments[set_[1]] = set_[2]
        else:
            self.now.words.append(word)

    def end_command(self) -> None:
        self.end_word()
        made = self.now
        if made.words or made.assignments or made.inner:
            _unwrap(made)
            self.found.append(made)
            self.last = made
        self.begin(None)

    def documents(self) -> None:
        """Take the here-documents that begin after the line's end."""
        for command, mark in self.here:
            lines = []
            while self.at < len(self.text):
                line = self.until("\n")
                if line.strip("\t ") == mark:
                    break
                lines.append(line)
            command.stdin += "\n".join(lines)
        self.here = []


def _unwrap(command: Command) -> None:
    """Take off what runs another command: its name, its options, variables and numbers."""
    while command.program in _WRAPPERS and len(command.words) > 1:
        taking = {f"-{letter}" for letter in _TAKING.get(command.program, "")}
        rest = command.words[2 if command.program == "chroot" else 1 :]
        while rest and (found := _BEFORE.fullmatch(rest[0])) is not None:
            rest = rest[2 if rest[0] in taking else 1 :]
            if found["name"]:
                command.assignments[found["name"]] = found["value"]
        command.words = rest
