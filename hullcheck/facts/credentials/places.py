"""Where programs keep credentials, and how each file is looked at on the host.

The places are those of the programs' own documentation: docker login, containers-auth.json(5),
npmrc, pypirc, pip's and git's configuration, the AWS, Azure, Google Cloud, GitHub and GitLab
command lines, kubectl, Terraform, Vault, Helm, rclone, psql and mysql, sops, cosign, notation.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ENVIRONMENT", "HOMES", "KEY_NAMES", "PLACES", "Place"]

HOMES = "~"
"""Stands for each home at the beginning of a pattern."""

JSON, NAMES, WHOLE, KEY, UNIT = "JNWKU"
"""How a file is looked at: its structure without its values; the names of its settings that hold
something; not at all, since all that it holds is a secret; of what kind a key it is; the names of
what a unit of systemd sets."""


@dataclass(frozen=True, slots=True)
class Place:
    """:param patterns: of paths, as a shell expands them; ~ is each home.

    :param scan: how such a file is looked at.
    :param topic: login, token, shell, environment, key or ssh.
    :param what: what it is, as a person would call it.
    """

    patterns: tuple[str, ...]
    scan: str
    topic: str
    what: str


def _home(scan: str, topic: str, what: str, *names: str) -> Place:
    return Place(tuple(f"~/{name}" for name in names), scan, topic, what)


ENVIRONMENT = (
    "/etc/environment", "/etc/environment.d/*.conf", "/etc/profile", "/etc/profile.d/*.sh",
    "/etc/bash.bashrc", "/etc/bashrc", "/etc/zsh/zshenv", "/etc/zsh/zprofile", "/etc/zshenv",
    "/etc/security/pam_env.conf", "/etc/csh.cshrc", "/etc/profile.d/*.csh",
)  # fmt: skip
"""What puts variables into every login; environment.d(5), pam_env(8), bash(1)."""

_UNITS = ("/etc/systemd/system", "/run/systemd/system", "/run/systemd/transient",
          "/usr/local/lib/systemd/system", "/etc/systemd/user")  # fmt: skip
"""Where units lie that no package brought; systemd.unit(5)."""

PLACES: tuple[Place, ...] = (
    _home(JSON, "login", "Docker's configuration", ".docker/config.json", ".dockercfg",
          "snap/docker/current/.docker/config.json"),
    _home(JSON, "login", "logins of Podman and buildah", ".config/containers/auth.json"),
    Place(("/run/containers/[0-9]*/auth.json", "/run/user/[0-9]*/containers/auth.json"), JSON,
          "login", "logins of Podman and buildah"),
    Place(("/var/lib/kubelet/config.json", "/var/lib/kubelet/.dockercfg"), JSON, "login",
          "the kubelet's logins"),
    _home(JSON, "login", "Helm's logins", ".config/helm/registry/config.json"),
    Place(("/etc/rancher/k3s/registries.yaml", "/etc/rancher/rke2/registries.yaml"), NAMES,
          "token", "logins of k3s or rke2"),
    Place(ENVIRONMENT, NAMES, "environment", "environment of every login"),
    Place(tuple(f"{folder}/{name}" for folder in _UNITS for name in ("*.service", "*.d/*.conf")),
          UNIT, "unit", "a unit of systemd"),
    Place(("/etc/systemd/system.conf", "/etc/systemd/system.conf.d/*.conf",
           "/etc/containers/systemd/*.container", "/etc/containers/systemd/*.env"), UNIT, "unit",
          "settings of systemd or a quadlet"),
    _home(UNIT, "unit", "a unit of systemd", ".config/systemd/user/*.service",
          ".config/systemd/user/*.d/*.conf", ".config/containers/systemd/*.container"),
    Place(("/etc/default/*", "/etc/sysconfig/*"), NAMES, "token", "settings of a service"),
    _home(NAMES, "shell", "a shell's start file", ".bashrc", ".bash_profile", ".bash_login",
          ".profile", ".zshrc", ".zshenv", ".zprofile", ".kshrc", ".cshrc", ".pam_environment",
          ".config/environment.d/*.conf", ".config/fish/config.fish", ".envrc", ".env"),
    _home(NAMES, "token", "npm's or yarn's token", ".npmrc", ".yarnrc.yml"),
    Place(("/etc/npmrc", "/usr/etc/npmrc", "/usr/local/etc/npmrc"), NAMES, "token",
          "npm's token"),
    _home(NAMES, "token", "a Python index's password", ".pypirc", ".pip/pip.conf",
          ".config/pip/pip.conf", ".config/pypoetry/auth.toml", ".condarc"),
    Place(("/etc/pip.conf", "/etc/xdg/pip/pip.conf"), NAMES, "token", "a Python index's password"),
    _home(NAMES, "token", "a password of Maven, Gradle or sbt", ".m2/settings.xml",
          ".m2/settings-security.xml", ".gradle/gradle.properties", ".sbt/.credentials",
          ".ivy2/.credentials"),
    _home(NAMES, "token", "a package registry's token", ".cargo/credentials",
          ".cargo/credentials.toml", ".gem/credentials", ".local/share/gem/credentials",
          ".nuget/NuGet/NuGet.Config", ".config/NuGet/NuGet.Config", ".bundle/config"),
    _home(JSON, "token", "Composer's password", ".composer/auth.json",
          ".config/composer/auth.json"),
    _home(NAMES, "token", "AWS's keys", ".aws/credentials", ".aws/config", ".boto", ".s3cfg"),
    _home(WHOLE, "token", "Azure's tokens", ".azure/msal_token_cache.json",
          ".azure/msal_token_cache.bin", ".azure/accessTokens.json",
          ".azure/service_principal_entries.*"),
    _home(WHOLE, "token", "Google Cloud's tokens",
          ".config/gcloud/application_default_credentials.json", ".config/gcloud/credentials.db",
          ".config/gcloud/access_tokens.db", ".config/gcloud/legacy_credentials/*/*"),
    _home(NAMES, "token", "kubectl's tokens and keys", ".kube/config"),
    _home(NAMES, "token", "a token of the GitHub or GitLab command line", ".config/gh/hosts.yml",
          ".config/glab-cli/config.yml", ".config/hub"),
    _home(WHOLE, "token", "git's passwords", ".git-credentials", ".config/git/credentials"),
    _home(JSON, "token", "Terraform's token", ".terraform.d/credentials.tfrc.json"),
    _home(NAMES, "token", "Terraform's token", ".terraformrc", ".tofurc"),
    _home(WHOLE, "token", "a token or a key", ".vault-token", ".config/sops/age/keys.txt",
          ".vault_pass", ".vault_pass.txt", ".vault-password", ".ansible/vault_pass*",
          ".config/age/keys.txt"),
    Place(("/etc/ansible/vault_pass*", "/etc/ansible/.vault_pass*"), WHOLE, "token",
          "Ansible's vault password"),
    _home(WHOLE, "token", "a database's password", ".pgpass"),
    _home(NAMES, "token", "a database's password", ".my.cnf"),
    _home(NAMES, "token", "rclone's passwords", ".config/rclone/rclone.conf", ".rclone.conf"),
    _home(KEY, "token", "a service account's key", "*.json"),
    _home(KEY, "key", "a key", "*.key", "*.pem", "*.asc", ".minisign/*.key", ".abuild/*.rsa",
          ".config/notation/localkeys/*.key", ".sigstore/*.key", ".cosign/*.key",
          ".gnupg/private-keys-v1.d/*.key"),
    _home(WHOLE, "key", "keys of Docker Content Trust", ".docker/trust/private/*.key"),
    _home(WHOLE, "key", "a key store", "*.p12", "*.pfx", "*.jks", "*.keystore"),
    _home(WHOLE, "key", "GnuPG's secret keys", ".gnupg/secring.gpg"),
    Place(("/etc/cosign/*.key", "/etc/signing/*", "/etc/keys/*.key"), KEY, "key", "a key"),
    _home(KEY, "ssh", "an SSH key", ".ssh/*"),
)  # fmt: skip

KEY_NAMES = ("*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.rsa")
"""Names of signing keys below folders of builds."""
