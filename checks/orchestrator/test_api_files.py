"""The files that the API server was told to use: who else may read or change them."""

from __future__ import annotations

from collections.abc import Iterable

from hullcheck.control import NotApplicable, control, expect
from hullcheck.facts.files import File
from hullcheck.facts.kubernetes.api_files import CONFIG, LOG, SECRET, ApiFile
from hullcheck.facts.readers import readers_of


def _only(file: ApiFile, *whats: str) -> None:
    if file.what not in whats:
        raise NotApplicable(f"it holds a {file.what}, of which another control tells")


def _expect_private(file: ApiFile, names: Iterable[File]) -> None:
    for each in names:
        others = readers_of(each, file.trusted)
        expect(others, equals=[], what=f"who else can read {each}")


def _expect_kept(file: ApiFile, names: Iterable[File]) -> None:
    for each in names:
        ways = each.writable_by_others(file.trusted)
        expect(ways, equals=[], what=f"how others can change {each}")


@control(
    title="Only the API server reads the keys and passwords that it was given",
    severity="critical",
    fix="chown root:root and chmod 0600 the file that is named, or 0700 the directory it is in.",
)
def test_api_secret_files(api_server_file: ApiFile) -> None:
    """Whoever reads the file of encryption can read every secret in a backup of etcd; with the
    file of tokens or a key they are whoever it was made for."""
    _only(api_server_file, SECRET)
    _expect_private(api_server_file, api_server_file.names)


@control(
    title="Only the API server reads the rest of its configuration",
    severity="low",
    fix="chown root:root and chmod 0600 the file that is named, or 0700 the directory it is in.",
)
def test_api_config_files(api_server_file: ApiFile) -> None:
    """The policies of auditing and admission tell an intruder what is not logged, who is exempt
    and whom the cluster believes."""
    _only(api_server_file, CONFIG)
    _expect_private(api_server_file, api_server_file.names)


@control(
    title="Nobody but root can change what the API server goes by",
    severity="critical",
    fix="chown root:root the file that is named and every directory on the way to it, and take "
    "write permission from everybody else.",
)
def test_api_files_writers(api_server_file: ApiFile) -> None:
    """Who writes the file of authorization lets themselves in; who writes the audit policy is not
    seen; who writes that of encryption turns it off."""
    _only(api_server_file, SECRET, CONFIG)
    if not api_server_file.file.exists:
        raise NotApplicable(f"there is no {api_server_file}")
    _expect_kept(api_server_file, api_server_file.names)


@control(
    title="Nobody but root reads or changes the audit logs",
    severity="high",
    fix="chmod 0700 the directory of --audit-log-path and chmod 0600 the logs in it, all of "
    "root; let a collector read them as root or over --audit-webhook-config-file.",
)
def test_api_audit_log_files(api_server_file: ApiFile) -> None:
    """The log names all that is in the cluster and who may touch it; an intruder who can write it
    was never there."""
    _only(api_server_file, LOG)
    for names in api_server_file.logs:
        _expect_private(api_server_file, names)
        _expect_kept(api_server_file, names)
