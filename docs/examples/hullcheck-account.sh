#!/bin/sh
# Makes the account that audits this host. Run it as root on each host; it may be run again.
#   sh hullcheck-account.sh 'ssh-ed25519 AAAA… hullcheck' 192.0.2.10
# The first is the auditor's public key, the second from where it may be used: sshd_config(5)'s
# patterns, such as 192.0.2.10,10.0.0.0/24. What the key opens is `hullcheck sudoers`.
set -eu
[ $# = 2 ] || { sed -n '2,5s/^# //p' "$0" >&2; exit 2; }
key=$1 from=$2 user=hullcheck

id "$user" >/dev/null 2>&1 || useradd --system --create-home --shell /bin/sh "$user"
usermod --password '*' "$user"                      # no password; not "!", which sshd can refuse
home=$(getent passwd "$user" | cut -d: -f6)

# Root's own, so that the account cannot let others in.
install -d -m 755 "$home/.ssh"
printf 'restrict,from="%s",command="sudo -n /bin/sh -s" %s\n' "$from" "$key" >"$home/.ssh/authorized_keys"

printf '%s\n' "Defaults:$user !requiretty" "$user ALL=(root) NOPASSWD:NOSETENV: /bin/sh -s" >"/etc/sudoers.d/.$user.new"
chmod 440 "/etc/sudoers.d/.$user.new"
visudo -cqf "/etc/sudoers.d/.$user.new"
mv "/etc/sudoers.d/.$user.new" "/etc/sudoers.d/$user"
