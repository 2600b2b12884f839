# shellcheck shell=bash disable=SC2034
# The cluster whose containers really run: containerd, a kubelet, kube-proxy, DNS and volumes.

readonly NODE=lab CONTAINERD=$RUN/containerd/containerd.sock DNS_ADDRESS=$ADDRESS

lab_ctr() { ctr --address "$CONTAINERD" --namespace k8s.io "$@"; }

up_real() {
    control_plane real "$(program kubernetes)" 5743 10.88.0.0/16 10.88.0.1 1
    context lab-tenant "https://$ADDRESS:5743" tenant tenant
    on_cluster real apply -f manifests/tenant.yaml >/dev/null
    up_containerd
    up_kubelet
    allow_forwarding
    up_dns
    up_volumes
    wait_until 60 kubelet "on_cluster real wait node/$NODE --for=condition=Ready --timeout=1s"
    wait_until 60 real-controller-manager "on_cluster real get serviceaccount default"
}

up_containerd() {
    mkdir -p "$STATE/cni" "$STATE/containerd" "$RUN/containerd" "$STATE/certs.d/$REGISTRY_TLS"
    printf 'server = "https://%s"\n[host."https://%s"]\n  ca = "%s"\n' "$REGISTRY_TLS" "$REGISTRY_TLS" "$PKI/ca.crt" \
        >"$STATE/certs.d/$REGISTRY_TLS/hosts.toml"
    cat >"$STATE/cni/10-lab.conflist" <<EOF
{"cniVersion": "0.4.0", "name": "windlass-lab", "plugins": [
  {"type": "bridge", "bridge": "$BRIDGE", "isGateway": true, "ipMasq": true, "hairpinMode": true,
   "ipam": {"type": "host-local", "dataDir": "$STATE/cni-reservations",
            "ranges": [[{"subnet": "$POD_CIDR", "rangeStart": "10.87.1.0", "gateway": "$ADDRESS"}]], "routes": [{"dst": "0.0.0.0/0"}]}},
  {"type": "portmap", "capabilities": {"portMappings": true}}]}
EOF
    # Without CAP_SYS_RESOURCE every sandbox dies unless restrict_oom_score_adj is set.
    cat >"$STATE/containerd.toml" <<EOF
version = 2
root = "$STATE/containerd"
state = "$RUN/containerd"
oom_score = 0
[grpc]
  address = "$CONTAINERD"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$REGISTRY/base/pause:1"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$STATE/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$STATE/certs.d"
EOF
    if ! runs containerd; then
        forget_pods_of_a_dead_run
        [[ ! -e $LOGS/containerd.log ]] || mv "$LOGS/containerd.log" "$LOGS/containerd.log.1"
    fi
    # It answers before it has found its pods again, and a kubelet that asks then gives up.
    start containerd "grep -q 'Start streaming server' $LOGS/containerd.log" containerd --config "$STATE/containerd.toml"
}

# After a reboot or a kill -9 of everything, the network namespaces are gone and their addresses still reserved.
forget_pods_of_a_dead_run() {
    [[ -z $(shims) ]] || return 0
    unmount_below "$RUN/containerd" "$STATE/kubelet/pods"
    rm -rf "$STATE/cni-reservations"
    local port
    for port in "/sys/class/net/$BRIDGE/brif"/*; do ip link delete "${port##*/}" 2>/dev/null || true; done
}

up_kubelet() {
    local program kubernetes=https://$ADDRESS:5743 controller
    program=$(program kubernetes)
    certificate kubelet "/O=system:nodes/CN=system:node:$NODE" "IP:$ADDRESS,DNS:$NODE"
    certificate proxy "/CN=system:kube-proxy"
    kubeconfig "$STATE/kubelet.kubeconfig" "$kubernetes" kubelet
    kubeconfig "$STATE/proxy.kubeconfig" "$kubernetes" proxy
    # A cgroup of our own, so that `down` knows what is ours.
    for controller in /sys/fs/cgroup/*/; do
        [[ -e $controller/cgroup.procs ]] || continue
        mkdir -p "$controller/windlass-lab"
        # cpuset's children start empty, and nothing can run in them before they have processors and memory.
        if [[ -e $controller/cpuset.cpus && -z $(cat "$controller/windlass-lab/cpuset.cpus") ]]; then
            cat "$controller/cpuset.cpus" >"$controller/windlass-lab/cpuset.cpus"
            cat "$controller/cpuset.mems" >"$controller/windlass-lab/cpuset.mems"
        fi
    done
    cat >"$STATE/kubelet.yaml" <<EOF
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $ADDRESS
port: 5750
healthzPort: 0
readOnlyPort: 0
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $PKI/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet.crt
tlsPrivateKeyFile: $PKI/kubelet.key
cgroupDriver: cgroupfs
cgroupRoot: $([[ -e /sys/fs/cgroup/cgroup.controllers ]] && echo / || echo /windlass-lab)
enforceNodeAllocatable: []
failSwapOn: false
failCgroupV1: false
containerRuntimeEndpoint: unix://$CONTAINERD
clusterDNS: [$DNS_ADDRESS]
clusterDomain: cluster.local
evictionHard: {memory.available: 50Mi, nodefs.available: 1%, imagefs.available: 1%}
# Never: on a machine whose disk is 85 % full, images that a test counts on would be deleted every five minutes.
imageGCHighThresholdPercent: 100
serializeImagePulls: false
maxPods: 250
podCIDR: $POD_CIDR
makeIPTablesUtilChains: true
volumePluginDir: $STATE/kubelet/plugins-exec
podLogsDir: $STATE/pod-logs
EOF
    start kubelet "curl -s --cacert $PKI/ca.crt https://$ADDRESS:5750/healthz" \
        "$program" kubelet --config "$STATE/kubelet.yaml" --kubeconfig "$STATE/kubelet.kubeconfig" --root-dir "$STATE/kubelet" \
        --cert-dir "$STATE/kubelet-certificates" --hostname-override "$NODE" --node-ip "$ADDRESS"
    start kube-proxy "curl -sf http://127.0.0.1:5776/healthz" \
        "$program" proxy --kubeconfig "$STATE/proxy.kubeconfig" --proxy-mode iptables --cluster-cidr "$POD_CIDR" \
        --conntrack-max-per-core 0 --hostname-override "$NODE" --iptables-min-sync-period 100ms --healthz-bind-address 127.0.0.1:5776 --metrics-bind-address 127.0.0.1:5777
}

up_dns() {
    local program
    program=$(program coredns)
    cat >"$STATE/Corefile" <<EOF
cluster.local:53 in-addr.arpa:53 ip6.arpa:53 {
    bind $DNS_ADDRESS
    errors
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig $STATE/real-admin.kubeconfig lab
    }
}
.:53 {
    bind $DNS_ADDRESS
    template ANY ANY {
        rcode NXDOMAIN
    }
}
EOF
    start coredns "grep -q CoreDNS- $LOGS/coredns.log" "$program" -conf "$STATE/Corefile"
}

up_volumes() {
    local program
    program=$(program local-path)
    on_cluster real apply -f manifests/volumes.yaml >/dev/null
    sed "s|\${BUSYBOX}|$REGISTRY/base/busybox|" manifests/volume-helper.yaml >"$STATE/volume-helper.yaml"
    echo "{\"nodePathMap\": [{\"node\": \"DEFAULT_PATH_FOR_NON_LISTED_NODES\", \"paths\": [\"$STATE/volumes\"]}]}" \
        >"$STATE/volumes.json"
    start local-path "true" "$program" start --kubeconfig "$STATE/real-admin.kubeconfig" --config "$STATE/volumes.json" \
        --namespace lab-volumes --service-account-name volumes --configmap-name volumes \
        --helper-pod-file "$STATE/volume-helper.yaml"
}

# Containers end before containerd does, or their shims would stay.
down_real() {
    local name pid
    for name in skipper kubectl-proxy coredns local-path kubelet kube-proxy; do stop "$name"; done
    if runs containerd; then
        lab_ctr tasks list -q 2>/dev/null | while read -r name; do
            lab_ctr tasks kill --signal KILL "$name" >/dev/null 2>&1 || true
        done
        lab_ctr tasks list -q 2>/dev/null | while read -r name; do
            lab_ctr tasks delete --force "$name" >/dev/null 2>&1 || true
        done
    fi
    stop containerd
    stop docker
    for pid in $(shims) $(contained); do kill -KILL "$pid" 2>/dev/null || true; done
    [[ -z $(shims) ]] || sleep 1
    unmount_below "$RUN" "$STATE"
    # Directories of cgroups go one by one, the inner ones first.
    find /sys/fs/cgroup -depth -type d -path '*/windlass-lab*' -exec rmdir {} + 2>/dev/null || true
}
