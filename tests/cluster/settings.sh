# Names, folders and addresses of the cluster, and how to run a command in it. Sourced by .ci/cluster.

CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/warehouse-sync-operator/cluster
DEBIAN=$CACHE/debian                       # Debian's packages, unpacked
STATE=/var/tmp/warehouse-sync-cluster      # everything of a run; the node sees it as /run/cluster
NAME=warehouse-sync-cluster                # of the network namespace and of the cgroups
NODE=node
NODE_IP=172.31.0.1                         # the addresses exist only in the network namespace
POD_NET=10.244.0.0/24
SERVICE_NET=10.96.0.0/16
API_SERVICE=10.96.0.1
DNS_SERVICE=10.96.0.10                     # as in config/kubelet.yaml
CONTROLLERS="cpu cpuacct cpuset memory devices freezer blkio pids systemd"

LIBRARIES=$DEBIAN/usr/lib/$(uname -m)-linux-gnu
export KUBECONFIG=$STATE/pki/admin.kubeconfig
export HELM_CACHE_HOME=$STATE/helm HELM_CONFIG_HOME=$STATE/helm HELM_DATA_HOME=$STATE/helm

step() { printf '\n== %s (%ss)\n' "$1" "$SECONDS"; }
say() { printf '   %s (%ss)\n' "$1" "$SECONDS"; }
fail() {
    echo "cluster: $*" >&2
    exit 1
}

# With the programs of the node and of Debian, outside of the cluster.
with_programs() { env PATH="$PROGRAMS:$DEBIAN/usr/bin:$DEBIAN/usr/sbin:$PATH" LD_LIBRARY_PATH="$LIBRARIES" "$@"; }
# In the network of the cluster.
in_node() { with_programs nsenter --net="/run/netns/$NAME" -- "$@"; }
k() { in_node kubectl "$@"; }
# start LOG COMMAND…: in the network of the cluster and in the background, until this script ends, however it does.
start() {
    local log=$STATE/log/$1
    shift
    (exec env PATH="$PROGRAMS:$DEBIAN/usr/bin:$DEBIAN/usr/sbin:$PATH" LD_LIBRARY_PATH="$LIBRARIES" \
        nsenter --net="/run/netns/$NAME" -- setpriv --pdeathsig KILL "$@" >"$log" 2>&1 </dev/null 9>&-) &
    STARTED+=($!)
}
STARTED=()

# wait_for SECONDS WHAT COMMAND…: until the command succeeds.
wait_for() {
    local end=$((SECONDS + $1)) what=$2 said
    shift 2
    until said=$("$@" 2>&1); do
        [ $SECONDS -lt $end ] || fail "waited in vain for $what: $said"
        sleep 0.3
    done
}
