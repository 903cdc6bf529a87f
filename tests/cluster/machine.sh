# Whether this machine can run the cluster. Sourced by .ci/cluster.

# Prints the first reason why it cannot; nothing if it can.
why_not_here() {
    local program controller
    [ "$(uname -s)" = Linux ] || { echo "it needs Linux"; return; }
    [ "$(id -u)" = 0 ] || { echo "it needs root"; return; }
    for program in go cargo gcc apt-get dpkg ip nsenter unshare setpriv openssl curl jq flock; do
        command -v "$program" >/dev/null || { echo "it needs $program"; return; }
    done
    has_packages || timeout 120 apt-get update -qq >/dev/null 2>&1 || true
    has_packages || { echo "it needs Debian's package archive"; return; }
    for controller in $CONTROLLERS; do
        mountpoint -q "/sys/fs/cgroup/$controller" || { echo "it needs cgroup v1, with $controller"; return; }
    done
    mkdir -p "/sys/fs/cgroup/memory/$NAME-may" 2>/dev/null || { echo "it may not make cgroups"; return; }
    rmdir "/sys/fs/cgroup/memory/$NAME-may"
    unshare --net --mount --pid --fork sh -c 'mount --make-rprivate / && mount -t tmpfs none /mnt && ip link add test0 type bridge' 2>/dev/null ||
        { echo "it may not make namespaces, mounts and bridges"; return; }
}

has_packages() { [[ $(apt-cache policy containerd runc 2>/dev/null) == *"Candidate: "[0-9]*"Candidate: "[0-9]* ]]; }
