"""SSH on the recorded hosts: as it should be on ``sound``, every fault on ``rotten``.

The recordings are taken through the very sshd, as root on ``sound`` too: there root's key may
run one command only, which is to run what was asked for.
"""

from __future__ import annotations

from tests.live.hosts.systemd import SystemdHost
from tests.live.test_sshd import ROTTEN, SOUND

DROP_IN = "/etc/ssh/sshd_config.d/50-site.conf"

FORCED = r'command="exec /bin/sh -c \"$SSH_ORIGINAL_COMMAND\""'

KEYS = r"""
ssh-keygen -q -t rsa -b 1024 -N '' -C old -f /root/weak
cat /root/weak.pub >>/root/.ssh/authorized_keys; rm /root/weak*
install -d -m 777 -o mallory ~mallory/.ssh 2>/dev/null || install -d -m 777 /home/mallory/.ssh
cp /root/.ssh/authorized_keys /home/mallory/.ssh/ && chmod 666 /home/mallory/.ssh/*
ssh-keygen -q -t rsa -b 2048 -N '' -C "root@$(hostname)" -f /etc/ssh/ssh_host_rsa_key
chmod 644 /etc/ssh/ssh_host_rsa_key
chmod 666 /etc/ssh/sshd_config
chmod 757 /usr/sbin/sshd
"""


def sound(host: SystemdHost) -> None:
    text = SOUND.replace("root bob", "root auditor")
    host.write(DROP_IN, f"{text}PermitRootLogin forced-commands-only\n")
    keys = "/root/.ssh/authorized_keys"
    own = host.run(f"cat {keys}").stdout
    host.write(keys, f"{FORCED} {own}", 0o600)
    host.run("[ ! -d /run/systemd/system ] || systemctl reload ssh")


def rotten(host: SystemdHost) -> None:
    host.run(KEYS)
    more = "HostKey /etc/ssh/ssh_host_rsa_key\nMatch Group docker\nPermitRootLogin yes\n"
    host.write(DROP_IN, ROTTEN + more)
    host.run("[ ! -d /run/systemd/system ] || systemctl reload ssh")
