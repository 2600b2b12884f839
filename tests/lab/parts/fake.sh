# shellcheck shell=bash disable=SC2034
# Clusters of fake nodes: a real control plane, and kwok says that pods run. One of today's Kubernetes, one of the oldest that
# windlass is for.

readonly OLD_KUBECONFIG=$STATE/kubeconfig-1.27

up_fake() { fake_cluster fake "$(program kubernetes)" 5744 10.89 2; }

up_old() {
    fake_cluster old "$(program kubernetes-1.27)" 5745 10.90 3
    # The same names for another cluster: what is tried on lab-fake is tried on the old one with this file.
    sed 's/lab-fake/lab-other/g; s/lab-old/lab-fake/g' "$KUBECONFIG_FILE" | private "$OLD_KUBECONFIG"
}

# fake_cluster NAME PROGRAM PORT SERVICE-NETWORK OFFSET
fake_cluster() {
    local name=$1 kubernetes=$2 port=$3 network=$4 offset=$5 program
    control_plane "$name" "$kubernetes" "$port" "$network.0.0/16" "$network.0.1" "$offset"
    program=$(program kwok)
    stages "${program%/*}/stages.yaml"
    start "$name-kwok" "curl -sf http://127.0.0.1:$((5770 + offset))/healthz" \
        "$program" --kubeconfig "$STATE/$name-admin.kubeconfig" --config "${program%/*}/stages.yaml" --manage-all-nodes \
        --server-address "127.0.0.1:$((5770 + offset))" --node-lease-duration-seconds 40
    on_cluster "$name" apply -f manifests/nodes.yaml >/dev/null
    # Ours, whatever else somebody has put there.
    wait_until 60 "$name-kwok" "on_cluster $name wait -f manifests/nodes.yaml --for=condition=Ready --timeout=10s"
    wait_until 60 "$name-controller-manager" "on_cluster $name get serviceaccount default"
}

# How fake nodes and pods move on: stages that come with kwok's module.
stages() {
    local target=$1 module stage
    [[ -e $target ]] && return
    module=$(cd modules/kubernetes && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
    for stage in node/fast/node-initialize node/heartbeat/node-heartbeat pod/fast/pod-{ready,complete,delete}; do
        echo ---
        cat "$module/$stage.yaml"
    done >"$target.new"
    mv "$target.new" "$target"
}
