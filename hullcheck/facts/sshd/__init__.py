"""The SSH servers of a host, their settings and their keys."""

from hullcheck.facts.sshd.authorized import AuthorizedKeys, authorized_keys
from hullcheck.facts.sshd.host_keys import HostKey, ssh_host_key
from hullcheck.facts.sshd.search import SshServers, ssh_server, ssh_servers
from hullcheck.facts.sshd.server import SshServer

__all__ = ["AuthorizedKeys", "HostKey", "SshServer", "SshServers", "authorized_keys",
           "ssh_host_key", "ssh_server", "ssh_servers"]  # fmt: skip
