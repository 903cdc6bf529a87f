# A single-node Kubernetes in network, mount and pid namespaces of its own. Sourced by .ci/cluster.
# Nothing of the machine is changed: no sysctl, no service, no process outside of the namespaces, cgroups only below /$NAME.

# Folders of the machine on which init.sh mounts. Those that do not exist are made, and removed in the end.
MOUNTED_ON="/var/lib/kubelet /var/lib/cni /etc/cni /usr/libexec/kubernetes"

node_up() {
    node_down
    mkdir -p "$STATE"/{log,kubelet,pods,etcd}
    cp -r tests/cluster/config "$STATE/"
    echo "nameserver $NODE_IP" >"$STATE/resolv.conf"
    make_keys
    local controller file folder
    for controller in $CONTROLLERS; do mkdir -p "/sys/fs/cgroup/$controller/$NAME"; done
    for file in cpuset.cpus cpuset.mems; do cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/$NAME/$file"; done
    ip netns add "$NAME"
    in_node sh -c "ip link set lo up; ip link add node0 type bridge; ip addr add $NODE_IP/32 dev node0; ip link set node0 up
        ip route add default dev node0; echo 1 >/proc/sys/net/ipv4/ip_forward"
    for folder in $MOUNTED_ON; do [ -d "$folder" ] || { mkdir -p "$folder" && echo "$folder" >>"$STATE/made"; }; done

    export STATE DEBIAN NODE NODE_IP SERVICE_NET API_SERVICE
    start init unshare --mount --pid --fork --kill-child=KILL --mount-proc bash tests/cluster/init.sh
    wait_for 120 "the API server" k get --raw /readyz
    say "API server ready"
    wait_for 60 "containerd" in_node ctr --address "$STATE/containerd.sock" version
    import_image "$CACHE/pause.tar"
    k apply -f tests/cluster/config/cluster.yaml >/dev/null
    wait_for 120 "the node" k wait --for=condition=Ready --timeout=1s node/$NODE
    wait_for 60 "the controllers" k get serviceaccount default --namespace default
    say "node ready"
}

# Ends everything that `start` started, and removes what a run that was killed has left.
node_down() {
    local process controller folder
    for process in "${STARTED[@]}"; do kill -KILL "$process" 2>/dev/null || true; done
    for process in "${STARTED[@]}"; do wait "$process" 2>/dev/null || true; done
    STARTED=()
    for controller in $CONTROLLERS unified; do # kubelet makes the last
        [ ! -d "/sys/fs/cgroup/$controller/$NAME" ] || wait_for 20 "the end of all pods" remove_cgroups "/sys/fs/cgroup/$controller/$NAME"
    done
    [ ! -e "/run/netns/$NAME" ] || ip netns delete "$NAME"
    if [ -e "$STATE/made" ]; then
        while read -r folder; do rmdir "$folder" 2>/dev/null || true; done <"$STATE/made"
    fi
    rm -rf "$STATE" "$CACHE"/buildah.*
}

remove_cgroups() { find "$1" -depth -type d -exec rmdir {} +; }

import_image() { in_node ctr --address "$STATE/containerd.sock" --namespace k8s.io images import "$1" >/dev/null; }
