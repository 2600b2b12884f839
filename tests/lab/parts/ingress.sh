# shellcheck shell=bash disable=SC2034
# The Ingress controller: skipper, which speaks to the API server through kubectl's proxy.

up_ingress() {
    local program
    program=$(program skipper)
    start kubectl-proxy "curl -sf http://127.0.0.1:5775/readyz" \
        kubectl --kubeconfig "$STATE/real-admin.kubeconfig" proxy --port 5775 --reject-paths '^$'
    start skipper "curl -s http://$INGRESS/" \
        "$program" -kubernetes -kubernetes-url http://127.0.0.1:5775 -address "$INGRESS" -support-listener 127.0.0.1:5774 \
        -enable-kubernetes-endpointslices -kubernetes-ingress-class 'skipper|^$' -kubernetes-path-mode path-prefix \
        -source-poll-timeout 500 -wait-for-healthcheck-interval 0s -access-log-disabled
}
