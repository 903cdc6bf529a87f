#!/usr/bin/env bash
# Process 1 of the node, in mount and pid namespaces of its own: mounts what its programs expect, then runs them, again and again.
# Its end ends all of them. node.sh starts it.
set -euo pipefail

mount --make-rprivate /
# kubelet shares mounts with pods.
mount --make-rshared /
mount -t tmpfs tmpfs /run
mkdir /run/cluster /run/debian
mount --bind "$STATE" /run/cluster
mount --bind "$DEBIAN" /run/debian
# Folders that the programs write to, wherever they are told to keep their state: node.sh made them.
mount --bind /run/cluster/kubelet /var/lib/kubelet
for folder in /var/lib/cni /etc/cni /usr/libexec/kubernetes /var/log; do mount -t tmpfs tmpfs "$folder"; done
# kubelet sets these, and they are of the whole machine: it is shown files of its own.
mkdir /run/sysctl
while read -r key value; do
    echo "$value" >"/run/sysctl/${key//\//.}"
    mount --bind "/run/sysctl/${key//\//.}" "/proc/sys/$key"
done <<SYSCTL
vm/overcommit_memory 1
vm/panic_on_oom 0
kernel/panic 10
kernel/panic_on_oops 1
kernel/keys/root_maxkeys 1000000
kernel/keys/root_maxbytes 25000000
SYSCTL

run() {
    local name=$1 log=/run/cluster/log/$1
    while :; do
        "$@" >>"$log" 2>&1 </dev/null || echo "== $name ended with $?" >>"$log"
        sleep 1
    done &
}
cd /run/cluster/pki
export KUBECONFIG=/run/cluster/pki/admin.kubeconfig

run etcd --data-dir /run/cluster/etcd --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --unsafe-no-fsync --log-level error
run kube-apiserver --etcd-servers http://127.0.0.1:2379 --bind-address 0.0.0.0 --secure-port 6443 --advertise-address "$NODE_IP" \
    --service-cluster-ip-range "$SERVICE_NET" --allow-privileged --authorization-mode Node,RBAC --enable-admission-plugins NodeRestriction \
    --tls-cert-file apiserver.crt --tls-private-key-file apiserver.key --client-ca-file ca.crt \
    --service-account-key-file accounts.pub --service-account-signing-key-file accounts.key \
    --service-account-issuer https://kubernetes.default.svc.cluster.local \
    --kubelet-client-certificate kubelet-client.crt --kubelet-client-key kubelet-client.key --kubelet-preferred-address-types InternalIP
# The cluster's DNS: only the names that the tests use.
run dnsmasq --keep-in-foreground --no-resolv --no-hosts --user=root --pid-file= --log-facility=- \
    --listen-address="$NODE_IP" --bind-interfaces --no-dhcp-interface=node0 --local=/cluster.local/ --local=/internal/ \
    --host-record="kubernetes.default.svc.cluster.local,$API_SERVICE" --host-record="posthog.internal,$NODE_IP"
run containerd --config /run/cluster/config/containerd.toml
until kubectl get --raw /readyz >/dev/null 2>&1; do sleep 0.3; done
run kube-controller-manager --kubeconfig kube-controller-manager.kubeconfig --bind-address 127.0.0.1 --leader-elect=false \
    --use-service-account-credentials --service-account-private-key-file accounts.key --root-ca-file ca.crt \
    --cluster-signing-cert-file ca.crt --cluster-signing-key-file ca.key
run kube-scheduler --kubeconfig kube-scheduler.kubeconfig --bind-address 127.0.0.1 --leader-elect=false
run kube-proxy --config /run/cluster/config/kube-proxy.yaml
# Enforces NetworkPolicies, and does nothing else.
XTABLES_LIBDIR=/run/debian/usr/lib/$(uname -m)-linux-gnu/xtables run kube-router --kubeconfig admin.kubeconfig --hostname-override "$NODE" \
    --run-firewall --run-router=false --run-service-proxy=false --enable-cni=false --enable-ipv6=false
until [ -S /run/cluster/containerd.sock ]; do sleep 0.1; done
run kubelet --config /run/cluster/config/kubelet.yaml --kubeconfig kubelet.kubeconfig --cert-dir /var/lib/kubelet/pki \
    --hostname-override "$NODE" --node-ip "$NODE_IP" --v=1

# Reaps what the programs leave behind.
while :; do wait -n || true; done
