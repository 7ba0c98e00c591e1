#!/bin/sh
# Takes away what a dockerd with a bridge leaves in the shared network namespace: docker0, its veths and its rules.
! ip link show docker0 >/dev/null 2>&1 || ip link delete docker0
command -v iptables-save >/dev/null || exit 0
for table in nat filter; do
    iptables-save -t $table 2>/dev/null | sed -n 's/^-A \([A-Z]*\) \(.*\(DOCKER\|docker0\).*\)$/-D \1 \2/p' |
        while read -r rule; do eval "iptables -w -t $table $rule"; done
    for step in -F -X; do
        iptables-save -t $table 2>/dev/null | sed -n 's/^:\(DOCKER[A-Z0-9-]*\) .*/\1/p' |
            while read -r chain; do iptables -w -t $table $step "$chain"; done
    done
done
ip link show docker0 >/dev/null 2>&1 && exit 1
exit 0
