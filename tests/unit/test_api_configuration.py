"""Files in place of an API server's flags: who asks, who decides, what is encrypted."""

from __future__ import annotations

import shutil

import pytest

from checks.orchestrator import test_api_authentication as authentication
from checks.orchestrator import test_api_authorization as authorization
from checks.orchestrator import test_api_storage as storage
from hullcheck.facts.kubernetes.api_files import _read
from hullcheck.transport import session_of
from hullcheck.transport.redact import Redactor
from tests.unit.api_server_fake import KUBECONFIG, says, verdict
from tests.unit.here import host_here

FILE = "/k/f"
DENIED = (1, "", f"head: cannot open '{FILE}' for reading: Permission denied\n")
ODD = {
    "denied": DENIED,
    "absent": (1, "", f"head: cannot open '{FILE}' for reading: No such file or directory\n"),
    "no YAML": "a: [",
    "empty": "",
    "another kind": "kind: Secret\nanonymous: {enabled: false}\nauthorizers: [{type: RBAC}]\n",
    "two": "kind: A\n---\nkind: B\n",
    "deep": "kind: " + "[" * 3000,
    "cut": (0, "kind: AuthorizationConfiguration\nauthorizers: [{type: RBAC}]\n"),
    "bytes": b"\xff\xfe\x00\x01",
    "bomb": "a: &a [x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a]\nc: [*b,*b,*b,*b,*b]\n",
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
@pytest.mark.parametrize(
    ("control", "flag"),
    [
        (authentication.test_api_anonymous, "authentication-config"),
        (authentication.test_api_user_logins, "authentication-config"),
        (authorization.test_api_rbac_authorizer, "authorization-config"),
        (authorization.test_api_always_allow, "authorization-config"),
        (storage.test_secrets_encrypted, "encryption-provider-config"),
        (storage.test_encryption_identity_last, "encryption-provider-config"),
    ],
)
def test_what_cannot_be_read_is_unknown(control, flag, text):
    assert says(control, f"--{flag}={FILE}", files={FILE: text}) == "unknown"


ANON = "kind: AuthenticationConfiguration\nanonymous: "


@pytest.mark.parametrize(
    ("words", "text", "status"),
    [
        ((), None, "fail"),
        (("--anonymous-auth=false",), None, "pass"),
        (("--anonymous_auth", "--anonymous-auth=FALSE"), None, "pass"),
        # The file says nothing of it: the flag counts.
        ((), "kind: AuthenticationConfiguration\njwt: []\n", "fail"),
        (("--anonymous-auth=false",), "kind: AuthenticationConfiguration\njwt: []\n", "pass"),
        ((), f"{ANON}{{enabled: false}}", "pass"),
        ((), f"{ANON}{{}}", "pass"),
        ((), f"{ANON}\n", "fail"),
        ((), f"{ANON}{{enabled: true}}", "fail"),
        ((), f"{ANON}{{enabled: true, conditions: []}}", "fail"),
        ((), f"{ANON}{{enabled: true, conditions: [{{path: /livez}}, {{path: /readyz}}]}}", "pass"),
        ((), f"{ANON}{{enabled: true, conditions: [{{path: /healthz/etcd}}]}}", "pass"),
        ((), f"{ANON}{{enabled: true, conditions: [{{path: /healthz/../api}}]}}", "fail"),
        ((), f"{ANON}{{enabled: true, conditions: [{{path: /livez}}, {{path: /api}}]}}", "fail"),
        ((), f'{ANON}{{enabled: "false"}}', "unknown"),
    ],
)
def test_anonymous(words, text, status):
    """kube-bench sees the flag alone."""
    files = {FILE: text} if text else {}
    named = (f"--authentication-config={FILE}",) if text else ()
    assert says(authentication.test_api_anonymous, *words, *named, files=files) == status


JWT = """kind: AuthenticationConfiguration
jwt:
- issuer: {{url: "https://a.example"}}
  claimMappings: {{username: {{claim: sub, prefix: "a:"}}, groups: {0}}}
  {1}
"""


@pytest.mark.parametrize(
    ("words", "text", "status"),
    [
        ((), None, "not-applicable"),
        (("--oidc-issuer-url=https://a",), None, "pass"),
        (("--oidc-issuer-url=https://a", "--oidc-groups-claim=g"), None, "fail"),
        (("--oidc-issuer-url=https://a", "--oidc-groups-claim=g", "--oidc-groups-prefix=a:"), None,
         "pass"),
        (("--oidc-issuer-url=https://a", "--oidc-username-prefix=-"), None, "fail"),
        (("--oidc-issuer-url=https://a", "--oidc-username-claim=email"), None, "pass"),
        ((), JWT.format('{claim: g, prefix: "a:"}', ""), "pass"),
        ((), JWT.format('{claim: g, prefix: ""}', ""), "fail"),
        ((), JWT.format('{claim: g, prefix: "system:"}', ""), "fail"),
        ((), JWT.format('{claim: g, prefix: "sys"}', ""), "fail"),
        ((), JWT.format('{expression: "claims.g"}', ""), "manual"),
        ((), JWT.format('{claim: g, prefix: ""}', "userValidationRules: [{expression: x}]"),
         "manual"),
    ],
)  # fmt: skip
def test_identity_prefixes(words, text, status):
    files = {FILE: text} if text else {}
    named = (f"--authentication-config={FILE}",) if text else ()
    control = authentication.test_api_identity_prefixes
    assert says(control, *words, *named, files=files) == status


CHAIN = "kind: AuthorizationConfiguration\nauthorizers: "


@pytest.mark.parametrize(
    ("words", "text", "statuses"),
    [
        # always allow, node, RBAC, ABAC, a webhook's failure
        ((), None, ("fail", "fail", "fail", "pass", "not-applicable")),
        (("--authorization-mode=Node,RBAC",), None,
         ("pass", "pass", "pass", "pass", "not-applicable")),
        (("--authorization-mode=Node", "--authorization_mode", "RBAC,AlwaysAllow"), None,
         ("fail", "pass", "pass", "pass", "not-applicable")),
        (("--authorization-mode=ABAC,Webhook,RBAC",), None,
         ("pass", "fail", "pass", "fail", "fail")),
        (("--authorization-mode=Node,RBAC,Webhook",), None,
         ("pass", "pass", "pass", "pass", "pass")),
        ((), f"{CHAIN}[{{type: Node}}, {{type: RBAC}}]",
         ("pass", "pass", "pass", "pass", "not-applicable")),
        ((), f"{CHAIN}[{{type: AlwaysAllow}}]", ("fail", "fail", "fail", "pass", "not-applicable")),
        ((), f"{CHAIN}[{{type: Webhook, webhook: {{failurePolicy: Deny}}}}, {{type: RBAC}}]",
         ("pass", "fail", "pass", "pass", "pass")),
        ((), f"{CHAIN}[{{type: Webhook, webhook: {{failurePolicy: NoOpinion}}}}, {{type: RBAC}}]",
         ("pass", "fail", "pass", "pass", "fail")),
        ((), f"{CHAIN}[]", ("fail", "fail", "fail", "pass", "not-applicable")),
    ],
)  # fmt: skip
def test_authorizers(words, text, statuses):
    files = {FILE: text} if text else {}
    named = (f"--authorization-config={FILE}",) if text else ()
    a = authorization
    controls = (
        a.test_api_always_allow, a.test_api_node_authorizer, a.test_api_rbac_authorizer,
        a.test_api_abac, a.test_api_webhook_failure,
    )  # fmt: skip
    assert tuple(says(each, *words, *named, files=files) for each in controls) == statuses


def test_a_changed_file_counts_only_as_far_as_it_is_taken():
    chain = f"apiVersion: x/v1\n{CHAIN}[{{type: RBAC}}, {{type: Webhook}}]"
    more = {"files": {FILE: chain}, "changed": [FILE]}
    word = f"--authorization-config={FILE}"
    assert says(authorization.test_api_rbac_authorizer, word, **more) == "unknown"
    assert says(authorization.test_api_webhook_failure, word, **more) == "pass"
    more["files"] = {FILE: chain.replace("x/v1", "x/v1alpha1")}
    assert says(authorization.test_api_webhook_failure, word, **more) == "unknown"


@pytest.mark.parametrize(
    ("server", "skip", "status"),
    [
        ("https://hook", "false", "pass"),
        ("https://hook", "true", "fail"),
        ("http://127.0.0.1:9", "false", "fail"),
        ("hook:80", "false", "fail"),
    ],
)
def test_webhooks(server, skip, status):
    hook = KUBECONFIG.format(server, skip)
    control = authorization.test_api_webhook_tls
    for flag in ("authentication-token-webhook", "audit-webhook"):
        assert says(control, f"--{flag}-config-file={FILE}", files={FILE: hook}) == status
    chain = f"{CHAIN}[{{type: Webhook, webhook: {{connectionInfo: {{kubeConfigFile: /k/h}}}}}}]"
    files = {FILE: chain, "/k/h": hook}
    assert says(control, f"--authorization-config={FILE}", files=files) == status
    # Not asked: it is no webhook's.
    unused = ("--authorization-mode=RBAC", f"--authorization-webhook-config-file={FILE}")
    assert says(control, *unused, files={FILE: hook}) == "not-applicable"


def blocks(*told: tuple[str, str]) -> str:
    made = "kind: EncryptionConfiguration\nresources:\n"
    return made + "".join(f"- resources: {who}\n  providers: {how}\n" for who, how in told)


AES = "[{aescbc: {keys: [{name: a, secret: none}]}}, {identity: {}}]"
PLAIN = "[{identity: {}}, {aescbc: {keys: []}}]"
GCM, BOX = "[{aesgcm: {keys: []}}]", "[{secretbox: {keys: []}}]"
KMS1, KMS2 = "[{kms: {name: a}}]", "[{kms: {apiVersion: v2, name: a}}, {identity: {}}]"


@pytest.mark.parametrize(
    ("text", "statuses"),
    [
        # secrets are encrypted, the key is elsewhere, nothing named is plain
        (None, ("fail", "not-applicable", "not-applicable")),
        (blocks(("[secrets]", AES)), ("pass", "fail", "pass")),
        (blocks(("[secrets]", GCM)), ("pass", "fail", "pass")),
        (blocks(("[secrets]", BOX)), ("pass", "fail", "pass")),
        (blocks(("[secrets]", KMS1)), ("pass", "fail", "pass")),
        (blocks(("[secrets]", KMS2)), ("pass", "pass", "pass")),
        (blocks(("[secrets]", PLAIN)), ("fail", "fail", "fail")),
        (blocks(("[configmaps]", KMS2)), ("fail", "fail", "pass")),
        # kube-bench takes the first provider of the last block.
        (blocks(("[secrets]", PLAIN), ("[configmaps]", AES)), ("fail", "fail", "fail")),
        (blocks(("[secrets]", KMS2), ("[configmaps]", PLAIN)), ("pass", "pass", "fail")),
        (blocks(("['*.*']", AES)), ("pass", "fail", "pass")),
        (blocks(("['*.']", KMS2)), ("pass", "pass", "pass")),
        (blocks(("['*.apps']", KMS2)), ("fail", "fail", "pass")),
        (blocks(("[secrets]", PLAIN), ("['*.*']", KMS2)), ("fail", "fail", "fail")),
        (blocks(("[secrets.]", KMS2), ("['*.*']", PLAIN)), ("pass", "pass", "fail")),
        (blocks(("[secrets]", KMS2), ("[secrets]", PLAIN)), ("pass", "pass", "pass")),
        (blocks(("[secrets.example.org]", KMS2)), ("fail", "fail", "pass")),
        (blocks(("[secrets]", "[]")), ("fail", "fail", "fail")),
        (blocks(("[secrets]", "[{rot13: {}}]")), ("unknown",) * 3),
        (blocks(("[secrets]", "[{identity: {}, kms: {}}]")), ("unknown",) * 3),
        ('{"kind": "EncryptionConfig", "resources": [{"resources": ["secrets"], "providers": '
         '[{"aescbc": {"keys": [{"name": "a", "secret": "none"}]}}]}]}', ("pass", "fail", "pass")),
    ],
)  # fmt: skip
def test_encryption(text, statuses):
    files = {FILE: text} if text else {}
    words = (f"--encryption-provider-config={FILE}",) if text else ()
    controls = (
        storage.test_secrets_encrypted, storage.test_encryption_key_outside,
        storage.test_encryption_identity_last,
    )  # fmt: skip
    assert tuple(says(each, *words, files=files) for each in controls) == statuses


def test_a_new_file_of_encryption_waits_for_a_restart():
    more = {"files": {FILE: blocks(("[secrets]", KMS2))}, "changed": [FILE]}
    word = f"--encryption-provider-config={FILE}"
    found = verdict(storage.test_secrets_encrypted, word, **more)
    assert (str(found.status), "changed after" in found.reason) == ("unknown", True)
    reload = "--encryption-provider-config-automatic-reload"
    assert says(storage.test_secrets_encrypted, word, reload, **more) == "pass"


KEY = "c2VjcmV0IGtleSBvZiAzMiBieXRlcyBpbiBiYXNlNjQ="
FORMS = (
    f"keys:\n- name: a\n  secret: {KEY}\n", f'keys: [{{name: a, secret: "{KEY}"}}]\n',
    f"keys: [{{secret: {KEY}, name: a}}]\n", f"secret: '{KEY}'\n", f"secret: >-\n  {KEY}\n",
    f"secret: |\n  {KEY[:20]}\n  {KEY[20:]}\n", f'"secret": "{KEY}"\n', f'{{"secret":"{KEY}"}}\n',
    f'"secret":\n  "{KEY}",\n', f'secret: "{KEY[:24]}\n  {KEY[24:]}"\n', f"token: {KEY}\n",
    f"client-key-data: {KEY}\n", f"password: '{KEY} x'\n",
)  # fmt: skip


@pytest.mark.parametrize("shell", [("/bin/sh",), ("busybox", "sh")], ids=["coreutils", "busybox"])
def test_keys_do_not_leave_the_host(shell, tmp_path):
    if not shutil.which(shell[0]):
        pytest.skip(f"{shell[0]} is not installed")
    host = host_here(*shell)
    for number, form in enumerate(FORMS):
        path = tmp_path / str(number)
        kept = "- customresourcedefinitions.apiextensions.k8s.io\n"
        path.write_text(f"resources:\n{kept}{form}providers: x\n")
        told = session_of(host).ask(_read(str(path), True))[0].text
        assert all(KEY[at : at + 12] not in told for at in range(0, 36, 6)), form
        assert kept in told and "providers: x" in told
    gone = session_of(host).ask(_read(str(tmp_path / "gone"), True))[0]
    assert gone.output == b"\n= end\n" and "No such file" in gone.complaint


@pytest.mark.parametrize("form", [each for each in FORMS if KEY in each and "\n  " not in each])
def test_keys_that_left_it_are_cut_as_they_arrive(form):
    """Another program's copy of the file may be read in another way."""
    assert KEY not in Redactor(b"salt").clean(form.encode()).decode()
