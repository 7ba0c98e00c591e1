from __future__ import annotations

import dataclasses
import typing
from pathlib import Path

import pytest

from hullcheck.inventory import policy as module
from hullcheck.inventory.document import DocumentError
from hullcheck.inventory.policy import Policy, digest, load_policy

EXAMPLE = Path(__file__).parents[2] / "inventories" / "policy.yml"


@pytest.fixture
def policy(tmp_path):
    def write(text):
        path = tmp_path / "policy.yml"
        path.write_text(text)
        return load_policy(path)

    return write


def test_values_are_typed(policy):
    found = policy("trusted_users: [root, 1000]\nlog_drivers: []\n")
    assert found == Policy(trusted_users=("root", "1000"))


def test_nothing_said_is_not_the_same_as_nothing_allowed(policy):
    assert policy("trusted_users: null\n").trusted_users is None
    assert policy("trusted_users: []\n").trusted_users == ()


def test_an_empty_file_says_nothing(policy):
    assert policy("# nothing yet\n") == Policy()


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("log_drivers: []\ntrusted_usres: []\n", 2, "did you mean trusted_users"),
        ("zzz: 1\n", 1, "; the keys are trusted_users,"),
        ("trusted_users: root\n", 1, "trusted_users is 'root'; write a list"),
        ("trusted_users: [{a: b}]\n", 1, "an item of trusted_users is a mapping; write a text"),
        ("log_drivers:\n", 1, "log_drivers is empty; write a list, [] for none"),
        ("- a\n", 1, "write a mapping"),
    ],
)
def test_mistakes(policy, text, line, sentence):
    with pytest.raises(DocumentError) as caught:
        policy(text)
    assert caught.value.line == line
    assert sentence in caught.value.message


@dataclasses.dataclass(frozen=True, slots=True)
class Wide:
    limit: int = 1
    strict: bool | None = None
    ports: tuple[int, ...] = ()
    ranges: dict[str, int] = dataclasses.field(default_factory=dict)


def test_other_types_of_fields_are_read_by_their_hints(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "Policy", Wide)
    path = tmp_path / "policy.yml"
    path.write_text("limit: 3\nstrict: true\nports: [22, 80]\nranges: {a: 1}\n")
    values = module.policy_values(module.load(path))
    assert values == {"limit": 3, "strict": True, "ports": (22, 80), "ranges": {"a": 1}}
    path.write_text("strict: 1\n")
    with pytest.raises(DocumentError, match="strict is '1'; write true or false"):
        module.policy_values(module.load(path))


def test_every_field_can_be_written_in_yaml(policy):
    """A field of a type that no YAML can say would break every policy file that uses it."""
    samples = {int: "1", bool: "true", str: "a", tuple: "[]", frozenset: "[]", dict: "{}"}
    for name, hint in typing.get_type_hints(Policy).items():
        kinds = [kind for kind in (typing.get_args(hint) or (hint,)) if kind is not type(None)]
        base = typing.get_origin(hint) if typing.get_origin(hint) in samples else kinds[0]
        sample = samples[typing.get_origin(base) or base]
        assert policy(f"{name}: {sample}\n") is not None


def test_every_field_is_explained():
    for field in dataclasses.fields(Policy):
        assert f":param {field.name}:" in (Policy.__doc__ or "")


def test_merged_replaces_and_leaves_the_rest():
    base = Policy(trusted_users=("a",), log_drivers=("b",))
    assert base.merged({"log_drivers": ()}) == Policy(trusted_users=("a",))
    assert base.log_drivers == ("b",)


def test_digest_knows_what_was_said_and_nothing_else():
    one, other = Policy(trusted_users=("a", "b")), Policy(trusted_users=("b", "a"))
    assert digest([Policy(), one]) == digest([one, Policy(), one])
    assert digest([one]) != digest([other])
    assert digest([Policy(trusted_users=())]) != digest([Policy(trusted_users=None)])
    assert digest([Policy()]) == (
        "sha256:06d303a9b27b9a13deb84c837b84a50d7d4423393aae3f9b03a73543785ee0b3"
    )


def test_the_example_is_right():
    assert load_policy(EXAMPLE).trusted_users == ("root",)
