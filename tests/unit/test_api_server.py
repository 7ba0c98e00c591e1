"""Controls of the API server's flags: defaults, odd spellings, and what other tools get wrong."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from checks.orchestrator import test_api_admission as admission
from checks.orchestrator import test_api_audit as audit
from checks.orchestrator import test_api_authentication as authentication
from checks.orchestrator import test_api_server as serving
from checks.orchestrator import test_api_storage as storage
from checks.orchestrator import test_api_tokens as tokens
from hullcheck.control import Unknown
from hullcheck.facts.kubernetes.certificates import certificate_want
from hullcheck.facts.kubernetes.durations import seconds_of
from hullcheck.facts.texts import END
from tests.unit.api_server_fake import KUBECONFIG, says, verdict
from tests.unit.test_kubernetes_certificates import made

A, S, T = admission, serving, tokens
ECDHE = "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"


@pytest.mark.parametrize(
    ("control", "words", "status"),
    [
        # What counts where nothing is said.
        (authentication.test_api_static_tokens, (), "pass"),
        (authentication.test_api_client_ca, (), "fail"),
        (authentication.test_api_user_logins, (), "fail"),
        (S.test_api_profiling, (), "fail"),
        (S.test_api_request_timeout, (), "pass"),
        (S.test_api_ciphers, (), "fail"),
        (T.test_service_account_lookup, (), "pass"),
        (T.test_service_account_keys, (), "fail"),
        (T.test_service_account_token_extension, (), "fail"),
        (T.test_service_account_token_lifetime, (), "fail"),
        (A.test_api_node_restriction, (), "fail"),
        (A.test_api_namespace_lifecycle, (), "pass"),
        (A.test_api_service_account_admission, (), "pass"),
        (A.test_api_pod_security, (), "pass"),
        (A.test_api_pod_security_default, (), "fail"),
        (A.test_api_always_admit, (), "pass"),
        (A.test_api_external_ips, (), "fail"),
        # Flags are repeated, have underscores, and stand apart from their values.
        (S.test_api_profiling, ("--profiling", "--profiling=false"), "pass"),
        (S.test_api_profiling, ("--profiling=false", "--profiling=true"), "fail"),
        (S.test_api_profiling, ("--profiling=F",), "pass"),
        (S.test_api_profiling, ("--profiling=nonsense",), "unknown"),
        (S.test_api_profiling, ("--profiling=0", "--debug-socket-path=/run/d"), "fail"),
        (authentication.test_api_static_tokens, ("--token_auth_file", "/etc/t"), "fail"),
        (authentication.test_api_static_tokens, ("--token-auth-file=",), "pass"),
        (A.test_api_node_restriction,
         ("--enable-admission-plugins=A", "--enable_admission_plugins=B, NodeRestriction"), "pass"),
        (A.test_api_node_restriction, ("--enable-admission-plugins=NoNodeRestrictions",), "fail"),
        (A.test_api_pod_security, ("--disable-admission-plugins=PodSecurity",), "fail"),
        # What is enabled by name is on, whatever else is said.
        (A.test_api_pod_security, ("--disable-admission-plugins=PodSecurity",
                                   "--enable-admission-plugins=PodSecurity"), "pass"),
        (A.test_api_pod_security, ("--feature-gates=PodSecurity=false",), "fail"),
        (A.test_api_always_admit, ("--admission-control=AlwaysAdmit",), "unknown"),
        (A.test_api_image_policy, (), "not-applicable"),
        (T.test_service_account_lookup, ("--service-account-lookup=false",), "fail"),
        (T.test_service_account_keys, ("--service-account-key-file=/a",
                                       "--tls-private-key-file=/a"), "fail"),
        (T.test_service_account_keys, ("--service-account-key-file=/a",
                                       "--service-account-key-file=/b",
                                       "--tls-private-key-file=/c"), "pass"),
        (T.test_service_account_keys, ("--service-account-signing-endpoint=/run/s",),
         "not-applicable"),
        (T.test_service_account_token_extension,
         ("--service-account-extend-token-expiration=false",), "pass"),
        (T.test_service_account_token_lifetime,
         ("--service-account-max-token-expiration=48h0m0s",), "pass"),
        (T.test_service_account_token_lifetime,
         ("--service-account-max-token-expiration=87600h",), "fail"),
        (T.test_service_account_token_lifetime,
         ("--service-account-max-token-expiration=0s",), "fail"),
        (T.test_service_account_token_lifetime,
         ("--service-account-max-token-expiration=ever",), "unknown"),
        (S.test_api_request_timeout, ("--request-timeout=5m0s",), "pass"),
        (S.test_api_request_timeout, ("--request-timeout=1h",), "fail"),
        (S.test_api_ciphers, ("--tls-min-version=VersionTLS13",), "pass"),
        (S.test_api_ciphers, ("--tls-min-version=VersionTLS11",
                              f"--tls-cipher-suites={ECDHE}"), "fail"),
        (S.test_api_ciphers, (f"--tls-cipher-suites={ECDHE},TLS_AES_128_GCM_SHA256",), "pass"),
        (S.test_api_ciphers, ("--tls-cipher-suites=TLS_RSA_WITH_AES_128_GCM_SHA256",), "fail"),
        (S.test_api_ciphers,
         ("--tls-cipher-suites=TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",), "fail"),
        (S.test_api_tls, ("--tls-cert-file=/c",), "fail"),
        (S.test_api_tls, ("--tls-cert-file=/c", "--tls-private-key-file=/k"), "pass"),
        (S.test_api_kubelet_client, ("--kubelet-client-certificate=/c",), "fail"),
        (S.test_api_kubelet_ca, ("--kubelet-certificate-authority", "/ca"), "pass"),
        (S.test_api_feature_gates, ("--feature-gates=AllAlpha=false,KMSv1=false",), "pass"),
        (S.test_api_feature_gates, ("--feature-gates=X=true", "--feature_gates=KMSv1=true"),
         "fail"),
        (S.test_api_feature_gates,
         ("--feature-gates=LegacyServiceAccountTokenNoAutoGeneration=false",), "fail"),
        (storage.test_api_etcd_client, ("--etcd-servers=https://e", "--etcd-certfile=/c",
                                        "--etcd-keyfile=/k"), "pass"),
        (storage.test_api_etcd_client, ("--etcd-servers=https://e,http://f", "--etcd-certfile=/c",
                                        "--etcd-keyfile=/k"), "fail"),
        (storage.test_api_etcd_client, ("--etcd-servers=https://e", "--etcd-certfile=/c",
         "--etcd-keyfile=/k", "--etcd-servers-overrides=/events#https://g;http://h"), "fail"),
        (storage.test_api_etcd_client, ("--etcd-servers=unix:///run/kine.sock",),
         "not-applicable"),
        (storage.test_api_etcd_ca, ("--etcd-servers=https://e",), "fail"),
        (storage.test_api_etcd_ca, ("--etcd-servers=https://e", "--etcd-cafile=/ca"), "pass"),
        (audit.test_api_audit_age, (), "not-applicable"),
        (audit.test_api_audit_age, ("--audit-log-path=-", "--audit-log-maxage=1"),
         "not-applicable"),
        (audit.test_api_audit_age, ("--audit-log-path=/l",), "pass"),
        (audit.test_api_audit_age, ("--audit-log-path=/l", "--audit-log-maxage=29"), "fail"),
        (audit.test_api_audit_age, ("--audit-log-path=/l", "--audit-log-maxage=x"), "unknown"),
        (audit.test_api_audit_backups, ("--audit-log-path=/l", "--audit-log-maxbackup=9"), "fail"),
        (audit.test_api_audit_size, ("--audit-log-path=/l", "--audit-log-maxsize=99"), "fail"),
        (audit.test_api_audit_bounded, ("--audit-log-path=/l",), "unknown"),
        (audit.test_api_audit_bounded, ("--audit-log-path=/l", "--audit-log-maxage=0",
                                        "--audit-log-maxbackup=0"), "fail"),
        (audit.test_api_audit_bounded, ("--audit-log-path=/l", "--audit-log-maxage=40"), "pass"),
    ],
)  # fmt: skip
def test_flags(control, words, status):
    assert says(control, *words) == status


def test_a_users_program_of_the_name_is_none():
    """kube-bench takes any process in whose text the name stands."""
    liar = ("/usr/bin/vi", ("vi", "kube-apiserver", "--profiling=true"), {})
    found = verdict(serving.test_api_profiling, "--profiling=false", others=[liar])
    assert (str(found.status), len(found.findings)) == ("pass", 1)


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ((), "not-applicable"),
        (("--requestheader-client-ca-file=/p", "--client-ca-file=/p"), "fail"),
        (("--requestheader-client-ca-file=/p", "--client-ca-file=/p",
          "--requestheader-allowed-names=front-proxy-client"), "pass"),
        (("--requestheader-client-ca-file=/p", "--client-ca-file=/p",
          "--requestheader-allowed-names="), "fail"),
        (("--requestheader-client-ca-file=/p",), "not-applicable"),
        # Nothing can be read: the authorities cannot be compared.
        (("--requestheader-client-ca-file=/p", "--client-ca-file=/c"), "unknown"),
    ],
)  # fmt: skip
def test_front_proxy(words, status):
    assert says(authentication.test_api_front_proxy, *words) == status


def pem(name: str, key: ec.EllipticCurvePrivateKey) -> str:
    return "".join(f"| {line}\n" for line in made(key, name, ca=True).decode().splitlines())


@pytest.mark.parametrize(
    ("second", "status"), [("another", "pass"), ("the same", "fail"), ("bundle", "fail")]
)
def test_front_proxy_of_its_own_authority(second, status):
    """Another file, and another name in it, can hold the same key."""
    own, other = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    proxy = {"another": pem("p", other), "the same": pem("p", own),
             "bundle": pem("p", other) + pem("q", own)}[second]  # fmt: skip
    answer = f"= 1\n{pem('clients', own)}= 2\n{proxy}{END}\n"
    words = ("--client-ca-file=/c", "--requestheader-client-ca-file=/p")
    asked = certificate_want(["/c", "/p"]).command
    assert says(authentication.test_api_front_proxy, *words, **{asked: answer}) == status


@pytest.mark.parametrize(
    ("config", "status"),
    [
        (None, "fail"),
        ("configuration: {defaults: {enforce: restricted}}", "pass"),
        ("configuration: {defaults: {enforce: privileged, warn: restricted}}", "fail"),
        ("configuration: {defaults: {warn: restricted}}", "fail"),
        ("path: pods.yaml", "pass"),
        ("path: gone.yaml", "unknown"),
        ("configuration: {defaults: {enforce: baseline}, exemptions: {usernames: "
         "['system:serviceaccount:kube-system:replicaset-controller']}}", "fail"),
        ("configuration: {defaults: {enforce: baseline}, exemptions: {namespaces: [kube-system], "
         "usernames: [ops]}}", "pass"),
    ],
)  # fmt: skip
def test_pod_security(config, status):
    text = f"kind: AdmissionConfiguration\nplugins:\n- name: PodSecurity\n  {config or ''}\n"
    files = {"/k/adm.yaml": text, "/k/pods.yaml": "defaults: {enforce: baseline}\n"}
    word = "--admission-control-config-file=/k/adm.yaml"
    assert says(admission.test_api_pod_security_default, word, files=files) == status


@pytest.mark.parametrize(("allow", "status"), [("true", "fail"), ("false", "pass")])
def test_image_policy(allow, status):
    text = (
        '{"kind": "AdmissionConfiguration", "plugins": [{"name": "ImagePolicyWebhook", "path": '
        '"ip.json"}]}'
    )
    files = {
        "/k/a.json": text,
        "/k/ip.json": f'{{"imagePolicy": {{"kubeConfigFile": "/k/h", "defaultAllow": {allow}}}}}',
        "/k/h": KUBECONFIG.format("https://h", "false"),
    }
    words = (
        "--admission-control-config-file=/k/a.json",
        "--enable-admission-plugins=ImagePolicyWebhook",
    )
    assert says(admission.test_api_image_policy, *words, files=files) == status


@pytest.mark.parametrize(
    ("transport", "status"),
    [
        ("{tcp: {url: 'https://p', tlsConfig: {caBundle: /ca}}}", "pass"),
        ("{tcp: {url: 'http://p'}}", "fail"),
        ("{tcp: {url: 'https://p', tlsConfig: {}}}", "fail"),
        ("{uds: {udsName: /run/konnectivity.sock}}", "pass"),
        ("", "pass"),
    ],
)
def test_egress(transport, status):
    text = f"""kind: EgressSelectorConfiguration
egressSelections: [{{name: cluster, connection: {{proxyProtocol: GRPC, transport: {transport}}}}}]
"""
    word = "--egress-selector-config-file=/k/e"
    assert says(serving.test_api_egress, word, files={"/k/e": text}) == status
    assert says(serving.test_api_egress) == "not-applicable"


def test_files_changed_since():
    words = ("--audit-policy-file=/k/p", "--token-auth-file=/k/t")
    files = {"/k/p": "", "/k/t": ""}
    control = serving.test_api_configuration_current
    assert says(control, *words, files=files) == "pass"
    assert says(control, *words, files=files, changed=["/k/t"]) == "fail"
    assert says(control, *words, files={"/k/p": ""}) == "fail"
    encrypted = ("--encryption-provider-config=/k/e",)
    assert says(control, *encrypted, files={"/k/e": ""}, changed=["/k/e"]) == "fail"
    reload = "--encryption-provider-config-automatic-reload=true"
    assert says(control, *encrypted, reload, files={"/k/e": ""}, changed=["/k/e"]) == "pass"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1h30m", 5400), ("1.5h", 5400), ("0", 0), ("500ms", 0.5), ("-1s", -1), (".5s", 0.5)],
)
def test_durations(text, seconds):
    assert seconds_of(text, "x") == seconds


@pytest.mark.parametrize("text", ["", "5", "1d", "h", "1h ", "9" * 200 + "h", "1h" * 80])
def test_what_is_no_duration(text):
    with pytest.raises(Unknown):
        seconds_of(text, "x")
