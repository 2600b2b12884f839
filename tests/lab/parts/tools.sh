# shellcheck shell=bash disable=SC2034
# Programs that users bring themselves and that the tests try with: Helm, for `.kube/Chart.yaml`.

readonly TOOLS=$STATE/bin

up_tools() {
    local helm
    helm=$(program helm)
    mkdir -p "$TOOLS"
    ln -sfn "$helm" "$TOOLS/helm"
}
