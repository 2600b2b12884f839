# shellcheck shell=bash disable=SC2034
# The cluster of fake nodes: real control plane, and kwok says that pods run.

up_fake() {
    local program
    control_plane fake 5744 10.89.0.0/16 10.89.0.1 2
    program=$(build kwok sigs.k8s.io/kwok/cmd/kwok "")
    stages "${program%/*}/stages.yaml"
    start kwok "curl -sf http://127.0.0.1:5773/healthz" \
        "$program" --kubeconfig "$STATE/fake-admin.kubeconfig" --config "${program%/*}/stages.yaml" --manage-all-nodes \
        --server-address 127.0.0.1:5773 --node-lease-duration-seconds 40
    on_cluster fake apply -f manifests/nodes.yaml >/dev/null
    wait_until 60 kwok "on_cluster fake wait nodes --all --for=condition=Ready --timeout=1s"
    wait_until 60 fake-controller-manager "on_cluster fake get serviceaccount default"
}

# How fake nodes and pods move on: stages that come with kwok's module.
stages() {
    local target=$1 module stage
    [[ -e $target ]] && return
    module=$(cd modules/kwok && go list -m -f '{{.Dir}}' sigs.k8s.io/kwok)/kustomize/stage
    for stage in node/fast/node-initialize node/heartbeat/node-heartbeat pod/fast/pod-{ready,complete,delete}; do
        echo ---
        cat "$module/$stage.yaml"
    done >"$target.new"
    mv "$target.new" "$target"
}
