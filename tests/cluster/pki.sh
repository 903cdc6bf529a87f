# Keys and certificates of the cluster, and of PostHog's authority. Sourced by .ci/cluster.

# authority NAME: a key and a certificate that no machine trusts.
authority() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -keyout "$1.key" -out "$1.crt" -subj "/CN=$1" \
        -addext keyUsage=critical,keyCertSign,cRLSign 2>/dev/null
}

# certificate AUTHORITY NAME SUBJECT [SUBJECT_ALTERNATIVE_NAMES]
certificate() {
    local extensions="extendedKeyUsage=serverAuth,clientAuth"
    [ -z "${4-}" ] || extensions+=$'\n'"subjectAltName=$4"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$2.key" -subj "$3" 2>/dev/null |
        openssl x509 -req -CA "$1.crt" -CAkey "$1.key" -days 2 -out "$2.crt" -extfile <(echo "$extensions") 2>/dev/null
}

# user NAME SUBJECT: a kubeconfig that authenticates as it.
user() {
    certificate ca "$1" "$2"
    jq --null-input --arg server "https://$NODE_IP:6443" --rawfile ca ca.crt --rawfile crt "$1.crt" --rawfile key "$1.key" \
        '{apiVersion: "v1", kind: "Config", "current-context": "c", contexts: [{name: "c", context: {cluster: "c", user: "u"}}],
          clusters: [{name: "c", cluster: {server: $server, "certificate-authority-data": ($ca | @base64)}}],
          users: [{name: "u", user: {"client-certificate-data": ($crt | @base64), "client-key-data": ($key | @base64)}}]}' >"$1.kubeconfig"
}

make_keys() (
    mkdir -p "$STATE/pki"
    cd "$STATE/pki"
    authority ca
    openssl genrsa -out accounts.key 2048 2>/dev/null
    openssl rsa -in accounts.key -pubout -out accounts.pub 2>/dev/null
    local names="DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,IP:127.0.0.1,IP:$NODE_IP,IP:$API_SERVICE"
    certificate ca apiserver /CN=kube-apiserver "$names"
    certificate ca kubelet-client /O=system:masters/CN=apiserver-kubelet
    user admin /O=system:masters/CN=admin
    user kubelet "/O=system:nodes/CN=system:node:$NODE"
    user kube-controller-manager /CN=system:kube-controller-manager
    user kube-scheduler /CN=system:kube-scheduler
    user kube-proxy /CN=system:kube-proxy
    # A person of the team that owns the data.
    user ann /O=data-owners/CN=ann
    authority posthog-ca
    certificate posthog-ca posthog /CN=posthog.internal DNS:posthog.internal
)
