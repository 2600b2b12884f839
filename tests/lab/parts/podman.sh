# shellcheck shell=bash disable=SC2034
# Podman's Docker-compatible socket, for those who have no Docker. Everything of it lies in the lab's own directories.

readonly PODMAN_SOCKET=unix://$RUN/podman.sock

up_podman() {
    local directory=$STATE/podman
    mkdir -p "$directory/networks"
    cat >"$directory/storage.conf" <<EOF
[storage]
driver = "overlay"
graphroot = "$directory/graph"
runroot = "$RUN/podman"
EOF
    cat >"$directory/registries.conf" <<EOF
unqualified-search-registries = []
[[registry]]
location = "$REGISTRY"
insecure = true
EOF
    # Its default limits are higher than a machine in a machine may set.
    cat >"$directory/containers.conf" <<EOF
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
network_config_dir = "$directory/networks"
EOF
    # After a kill its socket is still there, and nobody behind it.
    runs podman || rm -f "${PODMAN_SOCKET#unix://}"
    start podman "curl -sf --unix-socket ${PODMAN_SOCKET#unix://} http://podman/_ping" \
        env CONTAINERS_STORAGE_CONF="$directory/storage.conf" CONTAINERS_REGISTRIES_CONF="$directory/registries.conf" \
        CONTAINERS_CONF="$directory/containers.conf" podman system service --time 0 "$PODMAN_SOCKET"
}
