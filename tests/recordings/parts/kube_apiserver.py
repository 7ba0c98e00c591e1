"""The API server of the recorded nodes: one in order on ``kubeadm-sound``; on ``kubeadm-rotten``
two with all faults, one set by flags, one by files, as Kubernetes takes only one of both.

The programs are stand-ins that only wait; keys and tokens in the files are planted.
"""

from __future__ import annotations

from tests.live.hosts.kubernetes import run_program
from tests.live.hosts.overlay import OverlayHost

SECRETS = (
    "cGxhbnRlZC1lbmNyeXB0aW9uLWtleS0wMDAwMDAwMDE=", "cGxhbnRlZC1ibG9jay1zY2FsYXIta2V5LTAwMDAwMDI=",
    "planted-webhook-token-3", "planted-static-token-4",
)  # fmt: skip
ADDRESS = "127.0.77.1"
PATH = "/usr/local/bin/kube-apiserver"
ETC = "/etc/kubernetes"
PKI = f"{ETC}/pki"

WEBHOOK = """
apiVersion: v1
kind: Config
clusters:
- name: hook
  cluster: {server: "%s", %s}
contexts:
- name: hook
  context: {cluster: hook, user: api}
current-context: hook
users:
- name: api
  user: {token: planted-webhook-token-3}
"""
GOOD_HOOK = WEBHOOK % ("https://hook.example/ask", f"certificate-authority: {PKI}/ca.crt")
BAD_HOOK = WEBHOOK % ("https://hook.example/ask", "insecure-skip-tls-verify: true")

EGRESS = """
apiVersion: apiserver.k8s.io/v1beta1
kind: EgressSelectorConfiguration
egressSelections:
- name: cluster
  connection:
    proxyProtocol: HTTPConnect
    transport: {tcp: {url: "%s", tlsConfig: {caBundle: %s}}}
"""

SOUND = {
    "authn.yaml": """
apiVersion: apiserver.config.k8s.io/v1beta1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions: [{path: /livez}, {path: /readyz}, {path: /healthz}]
jwt:
- issuer: {url: "https://login.example", audiences: [kubernetes]}
  claimMappings:
    username: {claim: sub, prefix: "people:"}
    groups: {claim: groups, prefix: "people:"}
""",
    "authz.yaml": f"""
apiVersion: apiserver.config.k8s.io/v1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: guard
  webhook:
    failurePolicy: Deny
    connectionInfo: {{type: KubeConfigFile, kubeConfigFile: {ETC}/hook.conf}}
- {{type: Node, name: node}}
- {{type: RBAC, name: rbac}}
""",
    "admission.yaml": f"""
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: PodSecurity
  configuration:
    apiVersion: pod-security.admission.config.k8s.io/v1
    kind: PodSecurityConfiguration
    defaults: {{enforce: baseline, enforce-version: latest}}
    exemptions: {{namespaces: [kube-system]}}
- name: EventRateLimit
  path: events.yaml
- name: ImagePolicyWebhook
  configuration:
    imagePolicy: {{kubeConfigFile: {ETC}/hook.conf, defaultAllow: false}}
""",
    "events.yaml": """
apiVersion: eventratelimit.admission.k8s.io/v1alpha1
kind: Configuration
limits: [{type: Server, qps: 50, burst: 100}]
""",
    "encryption.yaml": f"""
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets, configmaps]
  providers:
  - kms: {{apiVersion: v2, name: vault, endpoint: "unix:///run/kms/socket.sock"}}
  - aescbc:
      keys:
      - {{name: old, secret: {SECRETS[0]}}}
      - name: older
        secret: >-
          {SECRETS[1]}
  - identity: {{}}
""",
    "audit.yaml": """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: None
  nonResourceURLs: ["/healthz*", "/livez*", "/readyz*", /version]
- level: None
  users: ["system:kube-proxy"]
  verbs: [watch]
  resources: [{group: "", resources: [endpoints, services]}]
- level: Metadata
  resources:
  - {group: "", resources: [secrets, configmaps, serviceaccounts/token]}
  - {group: authentication.k8s.io, resources: [tokenreviews]}
- level: RequestResponse
  verbs: [create, update, patch, delete]
  resources: [{group: rbac.authorization.k8s.io}]
- level: Metadata
""",
    "hook.conf": GOOD_HOOK,
    "egress.yaml": EGRESS % ("https://proxy.example:8131", f"{PKI}/ca.crt"),
}
SOUND_WORDS = (
    f"--authentication-config={ETC}/authn.yaml", f"--authorization-config={ETC}/authz.yaml",
    "--enable-admission-plugins=NodeRestriction,AlwaysPullImages,EventRateLimit",
    "--enable_admission_plugins=DenyServiceExternalIPs,ImagePolicyWebhook",
    f"--admission-control-config-file={ETC}/admission.yaml",
    f"--encryption-provider-config={ETC}/encryption.yaml",
    f"--audit-policy-file={ETC}/audit.yaml", "--audit-log-path=/var/log/kubernetes/audit/audit.log",
    f"--egress-selector-config-file={ETC}/egress.yaml",
    "--audit-log-maxage=30", "--audit-log-maxbackup=10", "--audit-log-maxsize=100",
    "--profiling=false", "--tls-min-version=VersionTLS12",
    "--tls-cipher-suites=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,TLS_AES_128_GCM_SHA256",
    f"--kubelet-certificate-authority={PKI}/ca.crt",
    "--service-account-extend-token-expiration=false",
    "--service-account-max-token-expiration=48h0m0s", "--request-timeout=1m",
    f"--requestheader-client-ca-file={PKI}/front-proxy-ca.crt",
    "--requestheader-allowed-names=front-proxy-client",
    f"--etcd-cafile={PKI}/etcd/ca.crt", f"--etcd-certfile={PKI}/apiserver-etcd-client.crt",
    f"--etcd-keyfile={PKI}/apiserver-etcd-client.key", "--etcd-servers=https://127.0.0.1:2379",
    f"--client-ca-file={PKI}/ca.crt", f"--tls-cert-file={PKI}/apiserver.crt",
    f"--tls-private-key-file={PKI}/apiserver.key",
    f"--kubelet-client-certificate={PKI}/apiserver-kubelet-client.crt",
    f"--kubelet-client-key={PKI}/apiserver-kubelet-client.key",
    f"--service-account-key-file={PKI}/sa.pub",
    f"--service-account-signing-key-file={PKI}/sa.key", "--secure-port", "6443",
    "--advertise-address=10.99.0.5", "--allow-privileged=true",
    "--enable-bootstrap-token-auth=true",
    "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
    "--service-cluster-ip-range=10.96.0.0/12",
    f"--proxy-client-key-file={PKI}/front-proxy-client.key",
)  # fmt: skip

FLAGS_WORDS = (
    "--anonymous_auth=true", f"--token-auth-file={ETC}/tokens.csv",
    "--oidc-issuer-url=https://login.example", "--oidc-client-id=k", "--oidc-groups-claim=groups",
    f"--client-ca-file={PKI}/ca.crt", f"--requestheader-client-ca-file={PKI}/ca.crt",
    "--authorization-mode=Node,RBAC", "--authorization-mode=ABAC,AlwaysAllow",
    f"--authorization-policy-file={ETC}/abac.jsonl",
    f"--authentication-token-webhook-config-file={ETC}/bad-hook.conf",
    "--enable-admission-plugins=AlwaysAdmit",
    "--disable-admission-plugins=ServiceAccount,NamespaceLifecycle,PodSecurity",
    "--feature-gates=AllAlpha=true", "--service-account-lookup=false", "--request-timeout=1h",
    "--tls-min-version=VersionTLS10", "--etcd-servers=http://127.0.0.1:2379",
    "--insecure-port=8080", f"--audit-policy-file={ETC}/audit.yaml",
    "--audit-log-path=/var/log/audit-open/audit.log", "--audit-log-maxage=7",
    "--audit-log-maxbackup=2", "--audit-log-maxsize=10",
)  # fmt: skip
FILES_WORDS = (
    f"--authentication-config={ETC}/authn.yaml", f"--authorization-config={ETC}/authz.yaml",
    "--enable-admission-plugins=NodeRestriction,ImagePolicyWebhook",
    f"--admission-control-config-file={ETC}/admission.yaml",
    f"--encryption-provider-config={ETC}/encryption.yaml", "--secure-port=6444",
    f"--egress-selector-config-file={ETC}/egress.yaml",
    f"--etcd-certfile={PKI}/apiserver-etcd-client.crt", "--etcd-servers=https://127.0.0.1:2379",
    "--audit-log-path=/var/log/audit-open/other.log", "--audit-log-maxage=0",
    "--audit-log-maxbackup=0",
)  # fmt: skip
ROTTEN = {
    "authn.yaml": """
apiVersion: apiserver.config.k8s.io/v1beta1
kind: AuthenticationConfiguration
anonymous:
  enabled: true
  conditions: [{path: /livez}, {path: /api/v1/secrets}]
""",
    "authz.yaml": f"""
apiVersion: apiserver.config.k8s.io/v1beta1
kind: AuthorizationConfiguration
authorizers:
- type: Webhook
  name: guard
  webhook:
    failurePolicy: NoOpinion
    connectionInfo: {{type: KubeConfigFile, kubeConfigFile: {ETC}/hook.conf}}
- {{type: AlwaysAllow, name: all}}
""",
    "admission.yaml": f"""
apiVersion: apiserver.config.k8s.io/v1
kind: AdmissionConfiguration
plugins:
- name: ImagePolicyWebhook
  configuration:
    imagePolicy: {{kubeConfigFile: {ETC}/hook.conf, defaultAllow: true}}
""",
    "encryption.yaml": f"""
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [secrets]
  providers:
  - identity: {{}}
  - aescbc:
      keys: [{{name: one, secret: "{SECRETS[0]}"}}]
- resources: ['*.*']
  providers:
  - aescbc:
      keys: [{{name: one, secret: "{SECRETS[0]}"}}]
""",
    "audit.yaml": """
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- level: RequestResponse
  resources: [{group: "", resources: [pods, secrets]}]
- level: None
  users: [mallory]
""",
    "hook.conf": GOOD_HOOK,
    "bad-hook.conf": BAD_HOOK,
    "egress.yaml": EGRESS % ("http://proxy.example:8131", '""'),
    "tokens.csv": f"{SECRETS[3]},admin,1,system:masters\n",
    "abac.jsonl": '{"kind": "Policy", "spec": {"user": "*", "resource": "*"}}\n',
}


def sound_files(host: OverlayHost) -> None:
    for name, text in SOUND.items():
        host.write(f"{ETC}/{name}", text, 0o600)
    host.write("/var/log/kubernetes/audit/audit.log", "{}\n", 0o600)
    host.run("chmod 700 /var/log/kubernetes/audit")


def kubeadm_sound(host: OverlayHost) -> None:
    sound_files(host)
    run_program(host, PATH, ("kube-apiserver", *SOUND_WORDS), listens=[(ADDRESS, 6443)])


def rotten_files(host: OverlayHost) -> None:
    for name, text in ROTTEN.items():
        host.write(f"{ETC}/{name}", text)
    host.run(f"chmod 666 {ETC}/abac.jsonl {ETC}/audit.yaml")
    for name in ("audit", "other"):
        host.write(f"/var/log/audit-open/{name}.log", "{}\n")


def kubeadm_rotten(host: OverlayHost) -> None:
    rotten_files(host)
    run_program(
        host, PATH, ("kube-apiserver", *FLAGS_WORDS), listens=[(ADDRESS, 6443), (ADDRESS, 8080)]
    )
    run_program(host, PATH, ("kube-apiserver", *FILES_WORDS), listens=[(ADDRESS, 6444)])
    # Written again: what was read at the start is no longer what is there.
    host.run(f"touch -d 2030-01-01 {ETC}/abac.jsonl")
