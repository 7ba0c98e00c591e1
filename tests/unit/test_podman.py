"""Podman's stores, read from files alone."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hullcheck import facts
from hullcheck.control import Unknown
from hullcheck.facts.podman.places import END, ROOT_STORE
from hullcheck.facts.podman.roots import ROOT_RUN, Roots
from tests.unit.fake import host_with
from tests.unit.podman_fake import (
    Files,
    Program,
    listed,
    podman_answers,
    podman_host,
)

WEB, NEXT, ODD = "a" * 64, "b" * 64, "c" * 64
ROOT = Roots(ROOT_STORE, ROOT_RUN, 0)
BOB = Roots("/home/bob/.local/share/containers/storage", "/run/user/1001/containers", 1001)
SPEC = json.dumps({"ociVersion": "1.0.2", "process": {"args": ["sleep"]}})


def userdata(where: Roots, number: str, name: str = "config.json", run: bool = False) -> str:
    root = where.runroot if run else where.graphroot
    return f"{root}/overlay-containers/{number}/userdata/{name}"


def kept(where: Roots, *containers: tuple[str, str], **texts: str) -> Files:
    """Return a store with some containers and further files."""
    path = f"{where.graphroot}/overlay-containers/containers.json"
    return Files({path: listed(*containers), **texts})


def stored(**more):
    return facts.get(podman_host(**more), "stored")


def test_stored_containers_of_root():
    specs = {userdata(ROOT, WEB): SPEC, userdata(ROOT, WEB, "pidfile", run=True): "50"}
    store = kept(ROOT, (WEB, "web"), (NEXT, "next"), **specs)
    running = Program(50, "sleep", ppid=49, cgroup=f"/machine.slice/libpod-{WEB}.scope")
    web, other = stored(kept={ROOT: store}, processes=[running])
    assert (web.id, web.name, web.image, web.pid) == (WEB, "web", "localhost/app:1", 50)
    assert (web.owner, web.rootless, web.spec) == ("root", False, json.loads(SPEC))
    assert (other.name, other.pid, other.bundle) == ("next", None, {})
    with pytest.raises(Unknown, match="never started"):
        _ = other.spec


def test_a_stale_pidfile_names_no_process():
    """After a container's end its number may be anybody's."""
    files = {userdata(ROOT, WEB): SPEC, userdata(ROOT, WEB, "pidfile", run=True): "50"}
    found = stored(
        kept={ROOT: kept(ROOT, (WEB, "web"), **files)},
        processes=[Program(50, "sshd", cgroup="/system.slice/ssh.service")],
    )
    assert found[0].pid is None


def conmon(where: Roots, number: str, name: str, pid: int = 40, **more) -> Program:
    argv = [
        "/usr/bin/conmon", "-c", number, "-b", userdata(where, number)[: -len("/config.json")],
        "-p", userdata(where, number, "pidfile", run=True), "-n", name,
        "--exit-command", "/usr/bin/podman", "--exit-command-arg", "--root",
    ]  # fmt: skip
    return Program(pid, "conmon", argv, **more)


def test_conmon_leads_to_the_process_and_to_a_store_at_an_odd_place():
    where = Roots("/srv/odd", "/srv/run", 0)
    store = kept(where, (ODD, "odd"), **{userdata(where, ODD): SPEC})
    found = stored(
        kept={where: store},
        processes=[conmon(where, ODD, "odd"), Program(41, "sh", ppid=40, cgroup="/user.slice")],
    )
    assert [(each.name, each.pid, each.graphroot) for each in found] == [("odd", 41, "/srv/odd")]


def test_a_running_container_of_an_unreadable_store_keeps_its_name():
    where = Roots("/srv/odd", "/srv/run", 0)
    host = podman_host(
        kept={where: ""},
        processes=[conmon(where, ODD, "odd"), Program(41, "sh", ppid=40, cgroup="/user.slice")],
    )
    store = facts.get(host, "podman_stores")[-1]
    assert [(each.name, each.pid) for each in store.containers] == [("odd", 41)]
    assert "/srv/odd" in store.doubt


def test_conmon_of_exec_or_of_a_nested_engine_is_not_followed():
    where = Roots("/srv/odd", "/srv/run", 0)
    nested = conmon(where, ODD, "odd", depth=2)
    entered = conmon(where, ODD, "odd", pid=42)
    entered.argv = [*entered.argv, "-e"]
    assert stored(processes=[nested, entered]) == []


def test_stores_of_users():
    store = kept(BOB, (WEB, "bobs"), **{userdata(BOB, WEB): SPEC})
    owned = Files(store.texts, dict.fromkeys(store.texts, 1001))
    found = stored(stores={BOB.graphroot: 1001}, kept={BOB: owned})
    assert [(each.name, each.owner, each.rootless) for each in found] == [("bobs", "bob", True)]


def test_a_graphroot_of_the_users_own_storage_conf():
    where = Roots("/data/bob", "/run/user/1001/containers", 1001)
    text = '[storage]\ndriver = "overlay"\ngraphroot = "/data/$USER"\n'
    store = kept(where, (WEB, "bobs"), **{userdata(where, WEB): SPEC})
    found = stored(
        files=Files({"/home/bob/.config/containers/storage.conf": text}),
        kept={where: Files(store.texts, dict.fromkeys(store.texts, 1001))},
    )
    assert [each.name for each in found] == ["bobs"]


def test_roots_storage_conf_moves_roots_store():
    where = Roots("/data/podman", ROOT_RUN, 0)
    store = kept(where, (WEB, "web"), **{userdata(where, WEB): SPEC})
    conf = Files({"/etc/containers/storage.conf": '[storage]\ngraphroot = "/data/podman/"\n'})
    assert [each.name for each in stored(files=conf, kept={where: store})] == ["web"]


def test_containers_of_cri_o_and_buildah_are_not_podmans():
    entries = [
        {"id": WEB, "metadata": json.dumps({"pod-id": "x", "image-name": "app", "name": "k8s_a"})},
        {"id": NEXT, "names": ["debian-working-container"], "metadata": ""},
    ]
    path = f"{ROOT_STORE}/overlay-containers/containers.json"
    assert stored(kept={ROOT: Files({path: json.dumps(entries)})}) == []


def test_volatile_containers_count():
    path = f"{ROOT_RUN}/overlay-containers/volatile-containers.json"
    found = stored(kept={ROOT: Files({path: listed((WEB, "brief"))})})
    assert [each.name for each in found] == ["brief"]


@pytest.mark.parametrize(
    "reply",
    [
        "",
        (0, f"{END}\n", "find: '/var/lib/containers/storage': Permission denied\n"),
        f"garbage\n{END}\n",
        f"= 0 600 9 {ROOT_STORE}/overlay-containers/containers.json\n{END}\n",
        Files({f"{ROOT_STORE}/overlay-containers/containers.json": "[{"}).reply(),
        Files({f"{ROOT_STORE}/overlay-containers/containers.json": '{"a": 1}'}).reply(),
        Files({f"{ROOT_STORE}/overlay-containers/containers.json": '[{"id": 5}]'}).reply(),
        Files({f"{ROOT_STORE}/overlay-containers/containers.json": "[" * 100_000}).reply(),
    ],
)
def test_a_store_that_cannot_be_read_is_unknown(reply):
    with pytest.raises(Unknown):
        stored(kept={ROOT: reply})


def test_one_store_that_cannot_be_read_does_not_hide_another():
    store = kept(ROOT, (WEB, "web"), **{userdata(ROOT, WEB): SPEC})
    host = podman_host(stores={BOB.graphroot: 1001}, kept={ROOT: store, BOB: ""})
    names = {
        each.owner: [one.name for one in each.containers]
        for each in facts.get(host, "podman_stores")
    }
    assert names == {"root": ["web"], "bob": []}


def test_a_user_cannot_claim_roots_container():
    """Anybody may write any id into a list of their own."""
    roots = kept(ROOT, (WEB, "web"), **{userdata(ROOT, WEB): SPEC})
    claim = kept(BOB, (WEB, "mine"), **{userdata(BOB, WEB, "pidfile", run=True): "50"})
    found = stored(
        stores={BOB.graphroot: 1001},
        kept={ROOT: roots, BOB: Files(claim.texts, dict.fromkeys(claim.texts, 1001))},
        processes=[Program(50, "sleep", cgroup=f"/machine.slice/libpod-{WEB}.scope")],
    )
    assert {each.name: each.pid for each in found} == {"web": 50, "mine": None}


def test_the_process_of_a_users_container_by_its_slice():
    store = kept(BOB, (WEB, "bobs"), **{userdata(BOB, WEB): SPEC})
    place = f"/user.slice/user-1001.slice/user@1001.service/user.slice/libpod-{WEB}.scope"
    found = stored(
        stores={BOB.graphroot: 1001},
        kept={BOB: Files(store.texts, dict.fromkeys(store.texts, 1001))},
        processes=[Program(50, "sleep", cgroup=f"{place}/container", uid=1001)],
    )
    assert [each.pid for each in found] == [50]


def test_hidden_homes_matter_where_podman_is():
    hidden = ["/home/bob/.local/share/containers/storage"]
    with pytest.raises(Unknown, match="may need root"):
        stored(hidden=hidden)
    assert stored(hidden=hidden, programs=()) == []


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_answer_of_a_store_breaks_the_reader(out, err):
    answers = podman_answers(kept={ROOT: (0, f"{out}\n{END}\n", err)})
    with suppress(Unknown):
        assert facts.get(host_with(answers), "stored") == []
