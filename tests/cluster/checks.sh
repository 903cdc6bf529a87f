# What is proved on the node, in the order in which .ci/cluster calls it. Sourced by .ci/cluster.

HOME_NAMESPACE=warehouse-sync-operator
TEAM=data-platform
ORDERS=0196f0aa-0002-7000-8000-0000000000aa   # tables of posthog.yaml
INVOICES=0196f0aa-0002-7000-8000-0000000000bb
PAYMENTS=0196f0aa-0002-7000-8000-0000000000cc
REPOSITORY=registry.example.com/warehouse-sync-operator
VERSION=$(sed -n 's/^version: //p' charts/warehouse-sync-operator/Chart.yaml)
SIMULATOR=http://127.0.0.1:8010/_simulator

operator() { k --namespace "$HOME_NAMESPACE" "$@"; }
team() { k --namespace "$TEAM" "$@"; }
status() { team get wsp production --output json | jq --raw-output ".status | $1"; }
status_is() { [ "$(status "$1")" = true ] || { status '{conditions: [.conditions[]? | {type, reason, message}], incidents, proposals: [.proposals[]? | {id, phase, message}]}' && false; }; }
posthog() { in_node curl --silent --fail --noproxy '*' "$SIMULATOR/$1"; }
# How often something happened to a table in PostHog: effects TABLE KIND [TRIGGER].
effects() {
    posthog effects | jq --arg table "$1" --arg kind "$2" --arg trigger "${3-}" \
        '[.[] | select(.schema == $table and .kind == $kind and ($trigger == "" or .trigger == $trigger))] | length'
}
has_happened() { [ "$(effects "$@")" != 0 ]; }
happened_once() { [ "$(effects "$@")" = 1 ] || { echo "$*: $(effects "$@") times, not once" && false; }; }

# helm_with_values COMMAND CHART…: polls every 5 s take more than a tenth of what PostHog allows a key.
helm_with_values() {
    local command=$1 chart=$2
    shift 2
    in_node helm "$command" warehouse-sync-operator "$chart" --namespace "$HOME_NAMESPACE" \
        --set "image.repository=$REPOSITORY" --set 'namespaces={data-platform}' \
        --set replicas=2 --set quotaShare=50 --set 'allowedHosts={posthog.internal}' --set ca.configMap=posthog-ca --set networkPolicy.enabled=true "$@" >"$STATE/log/helm"
}
replicas() { operator get pods --selector app.kubernetes.io/name=warehouse-sync-operator --output json; }
rolled_out() { operator rollout status deployment/warehouse-sync-operator --timeout=120s >/dev/null; }

start_posthog() {
    start posthog "${CARGO_TARGET_DIR:-target}/debug/posthog-simulator" --scenario tests/cluster/posthog.yaml --port 8010
    wait_for 30 "the simulator" posthog state
    tls 443
}

# tls PORT: a TLS server of posthog.internal in front of it.
tls() {
    start "tls-$1" socat "OPENSSL-LISTEN:$1,bind=$NODE_IP,reuseaddr,fork,cert=$STATE/pki/posthog.crt,key=$STATE/pki/posthog.key,verify=0" \
        TCP:127.0.0.1:8010
}

# As in docs/install.md and docs/networks.md, in namespaces that admit only restricted pods.
the_chart_of_the_commit_before_is_installed() {
    local namespace
    for namespace in "$HOME_NAMESPACE" "$TEAM"; do
        k create namespace "$namespace" >/dev/null
        k label namespace "$namespace" pod-security.kubernetes.io/enforce=restricted >/dev/null
    done
    operator create configmap posthog-ca --from-file="ca.crt=$STATE/pki/posthog-ca.crt" >/dev/null
    if git rev-parse --quiet --verify HEAD^ >/dev/null; then
        git archive HEAD^ charts | tar --extract --directory "$STATE"
    else
        say "no history: this chart is installed instead"
        cp -r charts "$STATE/"
    fi
    helm_with_values install "$STATE/charts/warehouse-sync-operator"
    rolled_out || fail "$(operator describe pods)"
}

a_policy_is_ready_over_tls_of_a_private_authority() {
    team create secret generic posthog --from-literal=api-key=phx_demo >/dev/null
    team label secret posthog warehousesync.dev/use=posthog-api-key >/dev/null
    # Of runs before the start there is less to read: by them alone, nothing would be cancelled for a quarter of an hour.
    wait_for 60 "a run that completes" has_happened public.users run_ended
    k apply --filename tests/cluster/policy.yaml >/dev/null
    wait_for 60 "the policy to be Ready" team wait --for=condition=Ready --timeout=1s wsp/production
}

the_chart_is_upgraded_while_both_replicas_serve() {
    helm_with_values upgrade charts/warehouse-sync-operator
    rolled_out || fail "$(operator describe pods)"
    # Until then, what is proposed is replaced.
    wait_for 60 "the operator to trust the admission policies of this chart" admission_policies_are_trusted
}
admission_policies_are_trusted() {
    local installed
    installed=$(k get validatingadmissionpolicies --output json | jq '[.items[].metadata | select(.name | startswith("warehousesync")) | .generation] | add')
    status_is "[.state.guard[]? | select(.name | startswith(\"ValidatingAdmissionPolicy/\")) | .generation] | add == $installed"
}

the_hung_run_is_cancelled() {
    wait_for 120 "the cancel" happened_once public.orders cancelled
    wait_for 30 "the pause before the reload" is_being_remediated "$ORDERS" Settle
}

an_alert_fires_while_a_proposal_waits() {
    k create rolebinding approvers --namespace "$TEAM" --clusterrole=warehousesync-approver --group=data-owners >/dev/null
    k create rolebinding editors --namespace "$TEAM" --clusterrole=warehousesync-editor --group=data-owners >/dev/null
    as_ann request production "$INVOICES" Resync --yes
    wait_for 60 "the proposal" status_is '.proposals | any(.phase == "AwaitingApproval")'
    start_prometheus
    wait_for 60 "the alert" fires WarehouseSyncProposalExpires
}

a_resync_is_approved_and_begins() {
    as_ann approve production "$(status '.proposals[0].id')" --yes
    wait_for 60 "the resync" happened_once public.invoices run_started resync
}
as_ann() { KUBECONFIG=$STATE/pki/ann.kubeconfig in_node "$CACHE/dist/kubectl-wsp" --namespace "$TEAM" "$@" >"$STATE/log/ann" 2>&1 || fail "$(cat "$STATE/log/ann")"; }

# A pod's name is the beginning of its identity in the Lease. A process that starts again in the same pod has another identity.
holder() { operator get lease warehouse-sync-operator --output jsonpath='{.spec.holderIdentity}'; }
leader() { holder | sed 's/_.*//'; }
led_by_another_than() {
    local now
    now=$(holder)
    [ -n "$now" ] && [ "$now" != "$1" ]
}

another_leads_at_once_when_the_leader_is_deleted() {
    local before begun=$SECONDS
    before=$(holder)
    operator delete pod "$(leader)" --wait=false >/dev/null
    wait_for 30 "another leader" led_by_another_than "$before"
    say "led again after $((SECONDS - begun)) s"
}

# Its process is found by its cgroup, and gets SIGKILL from outside of the pod.
the_leader_is_killed() {
    is_being_remediated "$PAYMENTS" WaitSuccess
    KILLED=$(holder)
    KILLED_AT=$SECONDS
    kill -KILL "$(process_of "$(leader)")"
}

# docs/replicas.md: a person says that the holder is dead. Until then, no standby leads, nor what kubelet has started in the same pod.
another_leads_once_a_person_ends_the_claim_of_the_killed_one() {
    local begun=$SECONDS
    [ "$(holder)" = "$KILLED" ] || fail "$(holder) leads, although the claim of $KILLED lasts"
    operator patch lease warehouse-sync-operator --type merge --patch '{"spec": {"holderIdentity": ""}}' >/dev/null
    wait_for 30 "another leader" led_by_another_than "$KILLED"
    say "led again after $((SECONDS - begun)) s"
}

another_leads_when_the_claim_of_the_killed_one_has_expired() {
    wait_for 240 "another leader" led_by_another_than "$KILLED"
    say "led again $((SECONDS - KILLED_AT)) s after the leader was killed"
}
process_of() { cat "$(cgroup_of "$1" pids)/cgroup.procs"; }
# cgroup_of POD CONTROLLER: of its container.
cgroup_of() {
    local pod
    pod=$(operator get pod "$1" --output json)
    find "/sys/fs/cgroup/$2/$NAME" -type d -path "*pod$(jq --raw-output .metadata.uid <<<"$pod")/*" \
        -name "$(jq --raw-output '.status.containerStatuses[0].containerID | sub("containerd://"; "")' <<<"$pod")"
}

the_failed_table_is_reloaded_once_and_recovers() { is_reloaded_once_and_recovers public.payments "$PAYMENTS"; }
the_cancelled_table_is_reloaded_once_and_recovers() { is_reloaded_once_and_recovers public.orders "$ORDERS"; }
# is_reloaded_once_and_recovers TABLE ID
is_reloaded_once_and_recovers() {
    wait_for 300 "the reload" happened_once "$1" run_started reload
    wait_for 120 "the end of the incident" status_is ".incidents == null or (.incidents | all(.schemaId != \"$2\"))"
    happened_once "$1" run_started reload
}
is_being_remediated() { status_is ".incidents | any(.schemaId == \"$1\" and .step == \"$2\")"; }

the_resync_was_executed_once() {
    wait_for 240 "the proof of the resync" status_is '.proposals | any(.phase == "Executed")'
    happened_once public.invoices run_started resync
    happened_once public.invoices table_wiped
}

# Debian's Prometheus, which is built without the discovery of Kubernetes, with the rules that the chart renders.
start_prometheus() {
    in_node helm template warehouse-sync-operator charts/warehouse-sync-operator --set prometheusRule.enabled=true \
        --show-only templates/prometheusrule.yaml | sed '1,/^spec:/d; s/^  //' >"$STATE/rules.yaml"
    replicas | jq --arg namespace "$HOME_NAMESPACE" '{global: {scrape_interval: "2s", evaluation_interval: "2s"}, rule_files: ["rules.yaml"],
        scrape_configs: [{job_name: "warehouse-sync-operator", static_configs: [.items[] |
            {targets: [.status.podIP + ":8080"], labels: {namespace: $namespace, pod: .metadata.name}}]}]}' >"$STATE/prometheus.yaml"
    start prometheus prometheus --config.file="$STATE/prometheus.yaml" --storage.tsdb.path="$STATE/prometheus" \
        --web.listen-address=127.0.0.1:9090
    wait_for 60 "both replicas to be scraped" replicas_scraped
}
prometheus() { in_node curl --silent --fail --noproxy '*' --get http://127.0.0.1:9090/api/v1/query --data-urlencode "query=$1" | jq --raw-output '.data.result[0].value[1] // "none"'; }
replicas_scraped() { [ "$(prometheus 'count(warehouse_sync_leader)')" = 2 ] && [ "$(prometheus 'sum(warehouse_sync_leader)')" = 1 ]; }
fires() { [ "$(prometheus "ALERTS{alertname=\"$1\", alertstate=\"firing\"}")" = 1 ]; }

a_rollout_keeps_a_leader() {
    local begun=$SECONDS
    operator rollout restart deployment/warehouse-sync-operator >/dev/null
    rolled_out
    wait_for 30 "a leader of the new pods" leader_is_running
    say "rolled out in $((SECONDS - begun)) s"
}
leader_is_running() {
    local now
    now=$(leader)
    [ -n "$now" ] && [ "$(operator get pod "$now" --output jsonpath='{.metadata.deletionTimestamp}')" = "" ]
}

helm_test_passes() { in_node helm test warehouse-sync-operator --namespace "$HOME_NAMESPACE" >"$STATE/log/helm"; }

# The most that each replica ever took, as the cgroup counted it.
memory_stays_below_the_request() {
    local pod most
    for pod in $(replicas | jq --raw-output '.items[].metadata.name'); do
        most=$(cat "$(cgroup_of "$pod" memory)/memory.max_usage_in_bytes")
        say "$pod: at most $((most / 1024)) KiB"
        [ "$most" -lt $((64 * 1024 * 1024)) ] || fail "more than the chart requests"
    done
}

a_release_is_uninstalled_and_installed_again_without_waiting_for_a_claim() {
    in_node helm uninstall warehouse-sync-operator --namespace "$HOME_NAMESPACE" >/dev/null
    [ "$(team get wsp --output name)" = warehousesyncpolicy.warehousesync.dev/production ] || fail "the policy is gone"
    helm_with_values install charts/warehouse-sync-operator
    local begun=$SECONDS
    rolled_out || fail "$(operator describe pods)"
    wait_for 60 "a leader of the new release" leader_is_running
    say "led again after $((SECONDS - begun)) s"
}

# The operator reaches PostHog at port 443 under the chart's NetworkPolicy. A pod with its labels cannot leave at another port, one without them can.
# The rules for a pod come a moment after the pod: it tries again and again.
the_network_policy_is_enforced() {
    tls 8443
    diagnose_from_a_pod free '{"app": "test"}'
    wait_for 120 "what a pod reads that the policy does not select" says free "public.orders"
    diagnose_from_a_pod selected "$(operator get networkpolicy warehouse-sync-operator --output json | jq --compact-output .spec.podSelector.matchLabels)"
    wait_for 120 "a pod to be cut off that the policy selects" says selected "no connection\|timed out\|refused\|unreachable"
    operator delete pod free selected --wait=false >/dev/null
}
# says POD TEXT: in its log, since it last started.
says() { operator logs "$1" 2>&1 | grep "$2" || { operator logs "$1" && false; }; }
# diagnose_from_a_pod NAME LABELS
diagnose_from_a_pod() {
    jq --null-input --arg name "$1" --argjson labels "$2" --arg image "$REPOSITORY:$VERSION" '{
        apiVersion: "v1", kind: "Pod", metadata: {name: $name, labels: $labels}, spec: {
            restartPolicy: "Always", automountServiceAccountToken: false,
            securityContext: {runAsNonRoot: true, runAsUser: 65532, seccompProfile: {type: "RuntimeDefault"}},
            volumes: [{name: "ca", configMap: {name: "posthog-ca"}}],
            containers: [{
                name: "diagnose", image: $image, imagePullPolicy: "Never",
                args: ["diagnose", "--host=https://posthog.internal:8443", "--project=12345", "--ca-file=/ca/ca.crt"],
                env: [{name: "POSTHOG_API_KEY", value: "phx_demo"}],
                volumeMounts: [{name: "ca", mountPath: "/ca"}],
                securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: ["ALL"]}}}]}}' |
        operator create --filename - >/dev/null
}

no_healthy_run_was_harmed() {
    [ "$(posthog violations)" = "[]" ] || fail "$(posthog violations)"
    happened_once public.orders cancelled
    happened_once public.payments run_started reload
    happened_once public.invoices run_started resync
    [ "$(posthog effects | jq 'map(select(.kind == "cancelled")) | length')" = 1 ] || fail "more was cancelled than the hung run: $(posthog effects)"
}
