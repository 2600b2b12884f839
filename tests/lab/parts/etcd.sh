# shellcheck shell=bash disable=SC2034
# One etcd for all clusters, each under its own prefix.

readonly ETCD=http://127.0.0.1:5779

up_etcd() {
    local program
    program=$(program kubernetes)
    start etcd "curl -sf $ETCD/health" "$program" etcd --data-dir "$STATE/etcd" --unsafe-no-fsync --log-level error \
        --listen-client-urls "$ETCD" --advertise-client-urls "$ETCD" --listen-peer-urls http://127.0.0.1:5778
}

# control_plane NAME PROGRAM PORT SERVICE-RANGE API-SERVICE-ADDRESS OFFSET: an API server, its controllers and its scheduler.
control_plane() {
    local name=$1 program=$2 port=$3 range=$4 service=$5 offset=$6 server
    server=https://$ADDRESS:$port
    certificate "$name-apiserver" "/CN=kube-apiserver" \
        "IP:$ADDRESS,IP:$service,IP:127.0.0.1,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
    certificate admin "/O=system:masters/CN=lab-admin"
    certificate tenant "/O=tenants/CN=lab-tenant"
    certificate controllers "/CN=system:kube-controller-manager"
    certificate scheduler "/CN=system:kube-scheduler"
    [[ -e $PKI/accounts.key ]] || openssl genrsa -out "$PKI/accounts.key" 2048 2>/dev/null
    start "$name-apiserver" "curl -sf --cacert $PKI/ca.crt --cert $PKI/admin.crt --key $PKI/admin.key $server/readyz" \
        "$program" apiserver --etcd-servers "$ETCD" --etcd-prefix "/$name" --secure-port "$port" --bind-address "$ADDRESS" \
        --advertise-address "$ADDRESS" --tls-cert-file "$PKI/$name-apiserver.crt" --tls-private-key-file "$PKI/$name-apiserver.key" \
        --client-ca-file "$PKI/ca.crt" --authorization-mode RBAC,Node --service-account-issuer https://kubernetes.default \
        --service-account-key-file "$PKI/accounts.key" --service-account-signing-key-file "$PKI/accounts.key" \
        --service-cluster-ip-range "$range" --allow-privileged --kubelet-client-certificate "$PKI/admin.crt" \
        --kubelet-client-key "$PKI/admin.key" --kubelet-preferred-address-types InternalIP --event-ttl 1h
    kubeconfig "$STATE/$name-controllers.kubeconfig" "$server" controllers
    kubeconfig "$STATE/$name-scheduler.kubeconfig" "$server" scheduler
    kubeconfig "$STATE/$name-admin.kubeconfig" "$server" admin
    context "lab-$name" "$server" admin
    # At the default of 20 requests a second a release of 100 objects takes 4.6 s in the controllers alone.
    start "$name-controller-manager" "curl -skf https://127.0.0.1:$((5750 + offset))/healthz" \
        "$program" controller-manager --kubeconfig "$STATE/$name-controllers.kubeconfig" --secure-port $((5750 + offset)) \
        --service-account-private-key-file "$PKI/accounts.key" --root-ca-file "$PKI/ca.crt" --use-service-account-credentials \
        --leader-elect=false --cluster-signing-cert-file "$PKI/ca.crt" --cluster-signing-key-file "$PKI/ca.key" \
        --authorization-always-allow-paths /healthz --kube-api-qps 2000 --kube-api-burst 4000 --bind-address 127.0.0.1
    start "$name-scheduler" "curl -skf https://127.0.0.1:$((5760 + offset))/healthz" \
        "$program" scheduler --kubeconfig "$STATE/$name-scheduler.kubeconfig" --secure-port $((5760 + offset)) --leader-elect=false \
        --authorization-always-allow-paths /healthz --kube-api-qps 2000 --kube-api-burst 4000 --bind-address 127.0.0.1
}

# kubectl as the administrator of a cluster: on_cluster real get pods
on_cluster() {
    local name=$1
    shift
    kubectl --kubeconfig "$STATE/$name-admin.kubeconfig" "$@"
}
