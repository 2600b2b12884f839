# shellcheck shell=bash disable=SC2034
# A BuildKit daemon apart from the Engine, for `builder:`: on a socket, and over TCP for those who have a certificate.

readonly BUILDKIT_SOCKET=unix://$RUN/buildkit.sock BUILDKIT_TLS=tcp://$ADDRESS:5792

up_buildkit() {
    local program
    program=$(program buildkit)
    program buildctl >/dev/null
    certificate buildkit "/CN=buildkit" "IP:$ADDRESS"
    certificate admin "/O=system:masters/CN=lab-admin"
    cat >"$STATE/buildkit.toml" <<EOF
root = "$STATE/buildkit"
[grpc]
address = ["$BUILDKIT_SOCKET", "$BUILDKIT_TLS"]
[grpc.tls]
cert = "$PKI/buildkit.crt"
key = "$PKI/buildkit.key"
ca = "$PKI/ca.crt"
[worker.oci]
enabled = true
snapshotter = "overlayfs"
binary = "runc"
defaultCgroupParent = "/windlass-lab/buildkit"
networkMode = "host"
[worker.containerd]
enabled = false
[registry."$REGISTRY"]
http = true
[registry."$REGISTRY_TLS"]
ca = ["$PKI/ca.crt"]
EOF
    start buildkit "test -S ${BUILDKIT_SOCKET#unix://}" "$program" --config "$STATE/buildkit.toml"
}
