"""What is right of the populated host; see ``test_first_light.py``."""

# host-user-namespace fails even of the sound one: what its engine does not remap is the host's.
# privileged fails of none: who moved into vanilla-app with every right is entered-process's.
CONTAINERS = """
                            sound  faulty  vanilla-app  helper  front
apparmor-profile            n/a    n/a     n/a          n/a     n/a
selinux-label               n/a    n/a     n/a          n/a     n/a
seccomp                     pass   fail    fail         pass    pass
masked-paths                pass   fail    pass         pass    pass
read-only-paths             pass   fail    pass         pass    pass
memory-limit                pass   fail    fail         fail    fail
cpu-limit                   pass   fail    fail         fail    fail
pids-limit                  pass   fail    fail         fail    fail
ulimits                     pass   pass    pass         pass    pass
oom-score                   pass   pass    pass         pass    pass
restart-limit               pass   fail    fail         pass    pass
cgroup-parent               pass   fail    pass         pass    pass
host-paths                  pass   fail    fail         pass    pass
engine-socket               pass   fail    fail         pass    pass
read-only-root              pass   fail    pass         fail    fail
mount-propagation           pass   fail    pass         pass    pass
devices                     pass   fail    pass         pass    pass
host-network                pass   fail    fail         fail    pass
host-pid                    pass   fail    fail         fail    pass
host-ipc                    pass   fail    fail         fail    pass
host-uts                    pass   fail    pass         pass    pass
host-user-namespace         fail   fail    fail         fail    fail
host-cgroup-namespace       pass   fail    fail         fail    fail
shared-namespaces           pass   pass    fail         pass    pass
published-ports-privileged  pass   pass    pass         pass    fail
published-ports             pass   pass    pass         pass    manual
published-address           pass   pass    pass         pass    fail
default-bridge              pass   pass    pass         pass    fail
health-check                pass   fail    fail         fail    fail
ssh-daemon                  pass   pass    pass         pass    pass
capabilities                pass   fail    fail         fail    fail
privileged                  pass   pass    pass         pass    pass
no-new-privileges           pass   fail    fail         fail    fail
root-user                   pass   fail    fail         fail    fail
entered-process             pass   pass    fail         pass    pass
entered-as-root             pass   n/a     n/a          n/a     n/a
supplementary-groups        pass   pass    pass         pass    pass
remote-desktops-and-shells  pass   pass    pass         pass    pass
package-manager             pass   pass    pass         pass    pass
debuggers                   pass   pass    pass         pass    pass
engine-clients              pass   pass    pass         pass    pass
shells-from-outside         pass   pass    pass         pass    pass
container-age               pass   pass    pass         pass    pass
secrets-in-environment      pass   pass    pass         pass    pass
foreign-descriptors         pass   pass    pass         pass    pass
selinux-categories          n/a    n/a     n/a          n/a     n/a
added-executables           pass   pass    pass         pass    pass
changed-settings            pass   pass    pass         pass    pass
deleted-executables         pass   pass    pass         pass    pass
program-from-writable-mount pass   pass    pass         pass    pass
image-current               pass   pass    pass         pass    pass
pinned-image                fail   fail    fail         fail    fail
user-ranges                 n/a    n/a     n/a          n/a     n/a
administration-ports        pass   pass    pass         pass    pass
undeclared-ports            pass   pass    pass         pass    pass
registered                  pass   pass    pass         pass    pass
"""

OTHERS = """
engine.api-tls                       n/a   engine
engine.api-refuses-strangers         n/a   engine
engine.configuration-drift           pass  engine
engine.no-nested-engine              pass  host
engine.rootless                      fail  engine
engine.log-level                     pass  engine
engine.packet-filter                 pass  engine
engine.storage-driver-aufs           pass  engine
engine.storage-driver-devicemapper   pass  engine
engine.default-ulimits               fail  engine
engine.user-namespace                fail  engine
engine.cgroup-parent                 pass  engine
engine.base-device-size              n/a   engine
engine.authorization-plugin          fail  engine
engine.no-new-privileges-default     fail  engine
engine.live-restore                  fail  engine
engine.userland-proxy                fail  engine
engine.seccomp-default               pass  engine
engine.experimental                  pass  engine
engine.unit-file-owner               pass  /usr/lib/systemd/system/docker.service
engine.unit-file-owner               pass  /etc/systemd/system
engine.unit-file-mode                pass  /usr/lib/systemd/system/docker.service
engine.unit-file-mode                pass  /etc/systemd/system
engine.socket-unit-file-owner        pass  /usr/lib/systemd/system/docker.socket
engine.socket-unit-file-owner        pass  /etc/systemd/system
engine.socket-unit-file-mode         pass  /usr/lib/systemd/system/docker.socket
engine.socket-unit-file-mode         pass  /etc/systemd/system
engine.config-directory-owner        pass  /etc/docker
engine.config-directory-mode         pass  /etc/docker
engine.config-file-owner             n/a   /etc/docker/daemon.json
engine.config-file-mode              n/a   /etc/docker/daemon.json
engine.default-file-owner            pass  /etc/default/docker
engine.default-file-mode             pass  /etc/default/docker
engine.sysconfig-file-owner          n/a   /etc/sysconfig/docker
engine.sysconfig-file-mode           n/a   /etc/sysconfig/docker
engine.registry-certificates-owner   n/a   host
engine.registry-certificates-mode    n/a   host
engine.tls-ca-owner                  n/a   host
engine.tls-ca-mode                   n/a   host
engine.tls-certificate-owner         n/a   host
engine.tls-certificate-mode          n/a   host
engine.tls-key-owner                 n/a   host
engine.tls-key-mode                  n/a   host
engine.api-socket-owner              pass  /var/run/docker.sock
engine.api-socket-mode               pass  /var/run/docker.sock
engine.containerd-socket-owner       pass  /var/run/docker/containerd/containerd.sock
engine.containerd-socket-mode        pass  /var/run/docker/containerd/containerd.sock
engine.insecure-registries           pass  engine
engine.registry-mirrors              pass  engine
engine.log-driver                    fail  engine
host.engine-sockets                  pass  /var/run/docker.sock
host.engine-sockets                  pass  /var/run/docker/containerd/containerd-debug.sock
host.engine-sockets                  pass  /var/run/docker/containerd/containerd.sock
host.engine-sockets                  pass  /var/run/docker/containerd/containerd.sock.ttrpc
host.engine-sockets                  pass  /var/run/docker/libnetwork/*.sock
host.engine-sockets                  pass  /var/run/docker/metrics.sock
host.engine-group-members            pass  docker
host.engine-tcp-api                  n/a   host
build.image-setuid                       pass     busybox:1
build.image-secrets                      pass     busybox:1
build.image-packages                     pass     busybox:1
build.package-index                      n/a      busybox:1
build.add-instruction                    n/a      busybox:1
build.verified-packages                  n/a      busybox:1
build.approved-origin                    n/a      busybox:1
build.approved-base                      manual   busybox:1
build.image-age                          pass     busybox:1
build.image-health-check                 fail     busybox:1
build.signed-images                      manual   busybox:1
build.secrets-in-configuration           pass     busybox:1
build.image-user                         fail     busybox:1
engine.podman-short-names                n/a      engine
engine.podman-short-names                n/a      containerd
build.scanned                            manual   busybox:1
build.sbom                               manual   busybox:1
build.provenance                         manual   busybox:1
engine.containerd-tcp-api                pass     containerd
engine.containerd-listeners              pass     containerd
engine.containerd-debug-socket           pass     containerd
engine.containerd-host-devices           n/a      containerd
engine.cri-apparmor                      n/a      host
engine.cri-selinux                       n/a      host
engine.cri-stream-server                 n/a      host
engine.runtime-config-owner              pass     /var/run/docker/containerd/containerd.toml
engine.runtime-config-owner              pass     /var/run/docker/containerd
engine.runtime-config-mode               pass     /var/run/docker/containerd/containerd.toml
engine.runtime-config-mode               pass     /var/run/docker/containerd
engine.runtime-directory-owner           pass     /var/lib/docker/containerd/daemon
engine.runtime-directory-owner           pass     /var/run/docker/containerd/daemon
engine.runtime-directory-mode            pass     /var/lib/docker/containerd/daemon
engine.runtime-directory-mode            pass     /var/run/docker/containerd/daemon
engine.crio-devices                      n/a      host
engine.crio-pivot-root                   n/a      host
engine.crio-metrics                      n/a      host
engine.log-level                         pass     containerd
engine.log-level                         n/a      podman
engine.default-ulimits                   n/a      containerd
engine.default-ulimits                   pass     podman
engine.user-namespace                    n/a      containerd
engine.user-namespace                    fail     podman
engine.no-new-privileges-default         n/a      containerd
engine.no-new-privileges-default         n/a      podman
engine.seccomp-default                   n/a      containerd
engine.seccomp-default                   pass     podman
engine.default-pids-limit                n/a      containerd
engine.default-pids-limit                n/a      engine
engine.default-pids-limit                pass     podman
engine.default-capabilities              n/a      containerd
engine.default-capabilities              n/a      engine
engine.default-capabilities              pass     podman
engine.signatures                        n/a      engine
engine.signatures                        fail     podman
engine.signatures                        n/a      containerd
engine.podman-short-names                pass     podman
engine.podman-api-socket                 pass     podman
engine.podman-default-isolation          pass     podman
engine.podman-subordinate-ids            n/a      podman
engine.podman-quadlet-privileges         n/a      host
engine.podman-quadlet-image              n/a      host
engine.insecure-registries               n/a      containerd
engine.insecure-registries               pass     podman
engine.registry-mirrors                  n/a      containerd
engine.registry-mirrors                  pass     podman
engine.image-sprawl                      pass     engine
engine.container-sprawl                  pass     engine
host.data-root-owner             pass     /var/lib/docker
host.data-root-exports           pass     /var/lib/docker
host.storage-driver              pass     /var/lib/docker
host.node-swap                   n/a      host
host.hidden-processes            n/a      host
host.public-mounts               pass     host
host.noexec-mounts               fail     host
host.separate-partitions         fail     host
host.mounts-at-boot              unknown  host
host.remote-mounts               n/a      host
host.setuid-programs             pass     host
host.file-capabilities           pass     host
host.stray-devices               pass     host
host.audit-recording                     unknown  host
host.audit-rules-loaded                  unknown  host
host.audit-engine-program                unknown  engine
host.audit-run-containerd                unknown  /var/run/docker/containerd/containerd.sock
host.audit-data-root                     unknown  engine
host.audit-config-directory              unknown  /etc/docker
host.audit-service-unit                  unknown  engine
host.audit-containerd-socket             unknown  /var/run/docker/containerd/containerd.sock
host.audit-socket-unit                   unknown  engine
host.audit-default-file                  unknown  /etc/default/docker
host.audit-config-file                   n/a      /etc/docker/daemon.json
host.audit-containerd-config             unknown  /var/run/docker/containerd/containerd.sock
host.audit-sysconfig-file                n/a      /etc/sysconfig/docker
host.audit-containerd-program            unknown  /var/run/docker/containerd/containerd.sock
host.audit-containerd-shim               unknown  /var/run/docker/containerd/containerd.sock
host.audit-containerd-shim-runc-v1       unknown  /var/run/docker/containerd/containerd.sock
host.audit-containerd-shim-runc-v2       unknown  /var/run/docker/containerd/containerd.sock
host.audit-runc                          unknown  engine
orchestrator.swarm-use                   pass     engine
orchestrator.swarm-managers              n/a      host
orchestrator.swarm-listeners             n/a      host
orchestrator.swarm-data-path             n/a      host
orchestrator.swarm-managers-drained      n/a      host
orchestrator.swarm-files-owner           n/a      host
orchestrator.swarm-files-mode            n/a      host
orchestrator.swarm-autolock              n/a      host
orchestrator.swarm-unlock-key-age        n/a      host
orchestrator.swarm-certificate-lifetime  n/a      host
orchestrator.swarm-certificate-renewal   n/a      host
orchestrator.swarm-root-ca-age           n/a      host
orchestrator.overlay-encryption          n/a      host
orchestrator.ingress-encryption          n/a      host
orchestrator.service-secrets             n/a      host
orchestrator.service-image-digest        n/a      host
orchestrator.service-privileges          n/a      host
orchestrator.service-mounts              n/a      host
orchestrator.service-ports               n/a      host
"""
