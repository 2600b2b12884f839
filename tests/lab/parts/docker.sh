# shellcheck shell=bash disable=SC2034
# A Docker Engine of its own, apart from any other on this machine but for the default bridge.

readonly DOCKER_TLS=tcp://$ADDRESS:5793

lab_docker() { docker --host "unix://$DOCKER_SOCKET" "$@"; }

up_docker() {
    local daemon=/usr/sbin/dockerd
    mkdir -p "/etc/docker/certs.d/$REGISTRY_TLS"
    cp "$PKI/ca.crt" "/etc/docker/certs.d/$REGISTRY_TLS/ca.crt"
    runs docker || forget_dead_engine
    mkdir -p "$RUN/docker"
    # Its key would lie in /etc otherwise.
    [[ -e $STATE/docker.json ]] || echo "{\"deprecated-key-path\": \"$STATE/docker-key.json\"}" >"$STATE/docker.json"
    certificate docker "/CN=docker" "IP:$ADDRESS"
    start docker "curl -sf --unix-socket $DOCKER_SOCKET http://docker/_ping" \
        "$daemon" --config-file "$STATE/docker.json" --host "unix://$DOCKER_SOCKET" \
        --host "$DOCKER_TLS" --tlsverify --tlscacert "$PKI/ca.crt" --tlscert "$PKI/docker.crt" --tlskey "$PKI/docker.key" --data-root "$STATE/docker" \
        --exec-root "$RUN/docker" --pidfile "$RUN/docker-engine.pid" --cgroup-parent /windlass-lab/docker
}

# After a kill the Engine's own containerd may have stayed, or its pid file names a process that is somebody
# else's, or a zombie: the Engine would wait for it and give up.
forget_dead_engine() {
    local pid
    pid=$(cat "$RUN/docker/containerd/containerd.pid" 2>/dev/null || true)
    if [[ -n $pid && -e /proc/$pid && $(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" || true) == *"$RUN/docker/"* ]]; then
        kill -KILL "$pid" 2>/dev/null || true
    fi
    rm -f "$RUN/docker-engine.pid" "$RUN/docker/containerd/containerd.pid"
}
