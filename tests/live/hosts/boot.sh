#!/bin/sh
# Runs as PID 1 of new mount, PID, UTS, IPC and cgroup namespaces: builds the host's root over an overlay of /,
# then becomes its init ("$@", run inside that root).
# In: STATE, NAME, PYTHON, OPAQUE (directories that start empty), CGROUP_LAYOUT (v1 | v2),
#     LOWER (the root file system it is laid over), HIERARCHIES (v1 mount options, one word each), BINDS (words FROM:TO).
set -eu
base=$STATE/ns
root=$base/root
mount -t tmpfs -o mode=0755 hullcheck-upper "$base"
mkdir "$base/upper" "$base/work" "$root"
for directory in $OPAQUE; do
    [ ! -d "$LOWER$directory" ] || { mkdir -p "$base/upper$directory"; chmod --reference="$LOWER$directory" "$base/upper$directory"; }
done
"$PYTHON" -I -S -c 'import os, sys
for path in sys.argv[2:]:
    here = sys.argv[1] + path
    if os.path.isdir(here):
        os.setxattr(here, "trusted.overlay.opaque", b"y")' "$base/upper" $OPAQUE
mount -t overlay -o "lowerdir=$LOWER,upperdir=$base/upper,workdir=$base/work" overlay "$root"
rm -f "$root/.dockerenv"
cp -a "$STATE/seed/." "$root/"

mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o nosuid,nodev,noexec sysfs "$root/sys"
mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs "$root/run"
mkdir -p "$root/run/sshd" "$root/run/lock"
: >"$root/run/utmp"

mount -t tmpfs -o nosuid,mode=0755 tmpfs "$root/dev"
for node in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0 fuse:10:229; do
    IFS=: read -r name major minor <<END
$node
END
    mknod -m 0666 "$root/dev/$name" c "$major" "$minor"
done
mkdir "$root/dev/pts" "$root/dev/shm" "$root/dev/mqueue"
mount -t devpts -o newinstance,nosuid,noexec,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o nosuid,nodev,mode=1777 tmpfs "$root/dev/shm"
mount -t mqueue -o nosuid,nodev,noexec mqueue "$root/dev/mqueue"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for stream in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${stream%:*}" "$root/dev/${stream#*:}"; done

if [ "$CGROUP_LAYOUT" = v2 ]; then
    mount -t cgroup2 -o nosuid,nodev,noexec cgroup2 "$root/sys/fs/cgroup"
else
    mount -t tmpfs -o nosuid,nodev,noexec,mode=0755 tmpfs "$root/sys/fs/cgroup"
    for options in $HIERARCHIES; do
        here=$root/sys/fs/cgroup/${options#name=}
        mkdir "$here"
        mount -t cgroup -o "nosuid,nodev,noexec,$options" cgroup "$here"
        case $options in *,*) for one in $(echo "$options" | tr , ' '); do ln -s "$options" "${here%/*}/$one"; done ;; esac
    done
fi

for pair in $BINDS; do
    mkdir -p "$root${pair#*:}"
    mount --bind "${pair%%:*}" "$root${pair#*:}"
done
hostname "$NAME"
cd "$root"
# In a mount namespace of its own whose root this is: where the root is only chroot's, nobody may make user namespaces.
# The one above it stays with unshare(1), so that the overlay's upper directory can be seen.
exec env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    unshare -m --propagation private /bin/sh -c 'pivot_root . . && umount -l . && exec chroot . "$@"' - "$@"
