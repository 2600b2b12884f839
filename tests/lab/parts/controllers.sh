# shellcheck shell=bash disable=SC2034
# Controllers of custom resources that many use, on the real cluster: cert-manager (without its webhook), External Secrets (with the
# provider that needs no service) and Argo Rollouts. `make nightly` asks for them: to build them takes ten minutes.

up_controllers() {
    local kubeconfig=$STATE/real-admin.kubeconfig module name
    for name in cert-manager external-secrets argo-rollouts; do
        module=$(controller_module "$name")
        definitions_of "$name" "$module" |
            kubectl --kubeconfig "$kubeconfig" apply --server-side --force-conflicts -f - >"$LOGS/$name-definitions.log"
    done
    start cert-manager "is_served certificates.cert-manager.io" \
        "$(program cert-manager)" -kubeconfig "$kubeconfig"
    start external-secrets "is_served externalsecrets.external-secrets.io" \
        "$(program external-secrets)" -kubeconfig "$kubeconfig"
    start argo-rollouts "curl -sf http://127.0.0.1:5770/healthz" \
        "$(program argo-rollouts)" --kubeconfig "$kubeconfig" --leader-elect=false --healthzPort 5770 --metricsPort 5771
}

controller_module() {
    case $1 in
        cert-manager) echo github.com/cert-manager/cert-manager ;;
        external-secrets) echo github.com/external-secrets/external-secrets ;;
        argo-rollouts) echo github.com/argoproj/argo-rollouts ;;
    esac
}

# definitions_of PROGRAM MODULE: its CustomResourceDefinitions, as its module has them.
definitions_of() {
    local directory file
    (cd "modules/$1" && go mod download "$2") >&2
    directory=$(cd "modules/$1" && go list -m -f '{{.Dir}}' "$2")
    for file in "$directory"/deploy/crds/*cert-manager.io_*.yaml "$directory"/manifests/crds/*-crd.yaml \
        "$directory"/config/crds/bases/external-secrets.io_{externalsecrets,secretstores,clustersecretstores}.yaml; do
        [[ ! -e $file ]] || { echo "---" && cat "$file"; }
    done
}

is_served() { kubectl --kubeconfig "$STATE/real-admin.kubeconfig" get "$1" -A -o name; }
