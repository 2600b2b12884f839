# shellcheck shell=bash disable=SC2034
# Programs that users bring themselves and that the tests try with: Helm, for `.kube/Chart.yaml`.

readonly TOOLS=$STATE/bin

up_tools() {
    local helm
    helm=$(build helm helm.sh/helm/v4/cmd/helm "-X helm.sh/helm/v4/internal/version.version=v4.3.1")
    mkdir -p "$TOOLS"
    ln -sfn "$helm" "$TOOLS/helm"
}
