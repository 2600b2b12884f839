# shellcheck shell=bash disable=SC2034
# Processes of the lab: started once, known by pid and start time, so that a number that the kernel has given
# to somebody else is never killed.

say() { printf 'lab: %d:%02d %s\n' $((SECONDS / 60)) $((SECONDS % 60)) "$*" >&2; }
fail() { printf 'lab: error: %s\n' "$*" >&2; exit 1; }

as_root() {
    [[ $(id -u) == 0 ]] || fail "the lab needs root: it mounts, makes a bridge and runs containers"
}

# The start time of a process in clock ticks; nothing when it is gone or a zombie.
born() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    [[ $stat != Z* ]] || return 1
    echo "$stat" | cut -d' ' -f20
}

# Is the process of this name running?
runs() {
    local pid time
    read -r pid time 2>/dev/null <"$RUN/$1.pid" || return 1
    [[ -n $time && $(born "$pid") == "$time" ]]
}

# start NAME CHECK COMMAND…: starts it unless it runs, and waits until CHECK succeeds.
start() {
    local name=$1 check=$2 pid
    shift 2
    if ! runs "$name"; then
        say "starting $name"
        # A session of its own: a signal to the terminal does not end the lab. No inherited lock (9).
        # Not in this checkout, which may be deleted while the lab runs.
        setsid env -C / "$@" >>"$LOGS/$name.log" 2>&1 </dev/null 9>&- &
        pid=$!
        disown
        echo "$pid $(born "$pid")" >"$RUN/$name.pid"
    fi
    wait_until 120 "$name" "$check"
}

# wait_until SECONDS NAME CHECK: the process must stay alive and CHECK succeed. The last lines of one that ended are shown;
# where it runs, what the last check said.
wait_until() {
    local limit=$((SECONDS + $1)) name=$2 check=$3 said
    until said=$(eval "$check" 2>&1); do
        if [[ -e $RUN/$name.pid ]] && ! runs "$name"; then
            tail -n 20 "$LOGS/$name.log" >&2 || true
            fail "$name ended; its log is $LOGS/$name.log"
        fi
        ((SECONDS <= limit)) || fail "$name runs, but this does not succeed within $1 s: $check${said:+ ($said)}"
        sleep 0.1
    done
}

# Ends a process: TERM, then KILL after 10 s.
stop() {
    local name=$1 pid time i
    if runs "$name"; then
        read -r pid time <"$RUN/$name.pid"
        kill -TERM "$pid" 2>/dev/null || true
        for ((i = 0; i < 100; i++)); do
            runs "$name" || break
            sleep 0.1
        done
        runs "$name" && kill -KILL "$pid" 2>/dev/null
    fi
    rm -f "$RUN/$name.pid"
}

# Clients before servers, so that nothing waits for what is gone.
readonly STOP_ORDER="skipper kubectl-proxy coredns local-path kubelet kube-proxy fake-kwok old-kwok
    real-controller-manager real-scheduler real-apiserver fake-controller-manager fake-scheduler fake-apiserver
    old-controller-manager old-scheduler old-apiserver
    etcd containerd buildkit registry registry-tls podman sshd docker"

stop_all() {
    local name
    for name in $STOP_ORDER; do stop "$name"; done
}

status_all() {
    local name
    for name in $STOP_ORDER; do
        [[ ! -e $RUN/$name.pid ]] || printf '%-26s %s\n' "$name" "$(runs "$name" && echo runs || echo "is gone")"
    done
}

# What a killed run left mounted below these directories, deepest first.
unmount_below() {
    local directory
    for directory; do
        awk -v below="$directory/" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | sort -r |
            while read -r mount; do umount -l "$(printf '%b' "$mount")" 2>/dev/null || true; done
    done
}

# Kills every process of the lab as a power cut would, containers and shims included.
kill_all() {
    local name pid
    for name in $STOP_ORDER; do
        if runs "$name"; then
            read -r pid _ <"$RUN/$name.pid"
            kill -KILL "$pid" 2>/dev/null || true
        fi
    done
    for pid in $(shims); do kill -KILL "$pid" 2>/dev/null || true; done
    for pid in $(contained); do kill -KILL "$pid" 2>/dev/null || true; done
}

# containerd's shims of the cluster, and Docker's containerd with its own: known by our sockets on their command
# lines.
shims() {
    local file line
    for file in /proc/[0-9]*/cmdline; do
        line=$(tr '\0' ' ' 2>/dev/null <"$file" || true)
        if [[ $line == *containerd*"$RUN/"* && $line != *"$STATE/containerd.toml"* ]]; then echo "${file//[!0-9]/}"; fi
    done
}

# Processes in the cgroups of the kubelet's pods and of Docker's containers. The kernel writes 0 for one of another pid namespace,
# which `kill` would take for the whole group that this runs in.
contained() {
    {
        cat /sys/fs/cgroup/pids/windlass-lab*/cgroup.procs /sys/fs/cgroup/windlass-lab*/cgroup.procs 2>/dev/null || true
        find /sys/fs/cgroup/pids/windlass-lab /sys/fs/cgroup/windlass-lab -name cgroup.procs -exec cat {} + 2>/dev/null || true
    } | awk '$1 > 1'
}

selftest() {
    as_root
    up ""
    say "killing everything"
    kill_all
    sleep 1
    up ""
    local kubectl=(kubectl --kubeconfig "$KUBECONFIG_FILE" --context lab-real)
    "${kubectl[@]}" delete pod selftest --ignore-not-found --wait --grace-period 1 >/dev/null
    "${kubectl[@]}" run selftest --image "$REGISTRY/base/busybox" --restart Never --command -- true >/dev/null
    "${kubectl[@]}" wait pod/selftest --for=jsonpath='{.status.phase}'=Succeeded --timeout 60s >/dev/null
    "${kubectl[@]}" delete pod selftest >/dev/null
    say "the lab came back"
}
