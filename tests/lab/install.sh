# shellcheck shell=bash disable=SC2034
# What the lab installs (Debian packages) and builds (from Go modules). Built things lie in the cache, keyed by
# what they are built from.

packages_of() {
    case $1 in
        network) echo iproute2 iptables procps curl openssl ;;
        docker) echo docker.io ;;
        tools) echo faketime rsync zsh fish ;;
        ssh) echo openssh-server openssh-client ;;
        podman) echo podman catatonit netavark aardvark-dns runc ;;
        buildkit) echo runc ;;
        registry) echo docker-registry apache2-utils ;;
        images) echo debootstrap busybox-static gcc libc6-dev ;;
        gitlab) echo debootstrap rsync binutils ;;
        real) echo containerd runc containernetworking-plugins iptables conntrack ethtool socat kmod ;;
    esac
}

install_packages() {
    local part package missing=()
    for part in "$@"; do
        for package in $(packages_of "$part"); do
            dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing+=("$package")
        done
    done
    if ((${#missing[@]})); then
        command -v apt-get >/dev/null || fail "these are missing, and there is no apt-get here: ${missing[*]}"
        say "installing ${missing[*]}"
        apt-get update -qq
        # Nobody starts services here but the lab.
        DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends "${missing[@]}" \
            >"$LOGS/apt.log" 2>&1 || { tail -n 20 "$LOGS/apt.log" >&2; fail "apt-get failed"; }
    fi
    command -v kubectl >/dev/null || [[ " $* " != *" etcd "* ]] || fail "kubectl is missing: https://kubernetes.io/docs/tasks/tools"
}

key_of() { cat "$@" | sha256sum | cut -c1-16; }

# source_of PROGRAM: the module in modules/ that it is built from, its package, the seconds that this takes on two processors, and
# what the linker sets.
source_of() {
    case $1 in
        kubernetes) echo "kubernetes ./kubernetes 600 $(kubernetes_version 1 37 2)" ;;
        coredns) echo "kubernetes ./coredns 30" ;;
        local-path) echo "kubernetes github.com/rancher/local-path-provisioner 10" ;;
        kwok) echo "kubernetes sigs.k8s.io/kwok/cmd/kwok 30" ;;
        helm) echo "kubernetes helm.sh/helm/v4/cmd/helm 40 -X helm.sh/helm/v4/internal/version.version=v4.3.1" ;;
        kubernetes-1.27) echo "kubernetes-1.27 . 400 $(kubernetes_version 1 27 16)" ;;
        skipper) echo "skipper github.com/zalando/skipper/cmd/skipper 90" ;;
        buildkit) echo "buildkit github.com/moby/buildkit/cmd/buildkitd 100 -X github.com/moby/buildkit/version.Version=v0.34.2" ;;
        cert-manager) echo "cert-manager . 190" ;;
        external-secrets) echo "external-secrets . 200" ;;
        argo-rollouts) echo "argo-rollouts github.com/argoproj/argo-rollouts/cmd/rollouts-controller 240" ;;
        buildctl) echo "buildkit github.com/moby/buildkit/cmd/buildctl 10" ;;
    esac
}

# kubernetes_version MAJOR MINOR PATCH: for the linker. What the API server says of itself is the client's in older ones.
kubernetes_version() {
    local package
    for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        echo "-X $package.gitVersion=v$1.$2.$3 -X $package.gitMajor=$1 -X $package.gitMinor=$2"
    done | paste -sd' '
}

programs_of() {
    case $1 in
        etcd) echo kubernetes ;;
        real) echo coredns local-path ;;
        ingress) echo skipper ;;
        fake) echo kwok ;;
        old) echo kubernetes-1.27 kwok ;;
        buildkit) echo buildkit buildctl ;;
        tools) echo helm ;;
        controllers) echo cert-manager external-secrets argo-rollouts ;;
    esac
}

# executable_of PROGRAM: where in the cache it is, or will be: by all that it is built from.
executable_of() {
    local name=$1 module package flags key
    read -r module package _ flags < <(source_of "$name")
    key=$( (echo "$package $flags" && find "modules/$module" -type f | sort | xargs cat) | sha256sum | cut -c1-16)
    echo "$CACHE/$name-$key/$name"
}

# program NAME: prints the path of the executable, built if the cache has none. Whoever comes second waits for the first.
program() {
    local name=$1 target
    target=$(executable_of "$name")
    if [[ ! -x $target ]]; then
        command -v go >/dev/null || fail "Go is missing: https://go.dev/dl"
        (
            exec 9>&- 8>"$CACHE/$name.lock"
            wait_for_build "$name"
            [[ -x $target ]] || build "$name" "$target"
        ) >&2
    fi
    echo "$target"
}

# Waits for the lock of a program that somebody else builds, and says how long that will take.
wait_for_build() {
    local name=$1 began=$SECONDS spent
    ! flock -n 8 || return 0
    say "waiting for $name, which is being built ($(minutes "$(seconds_of "$name")") in all)"
    until flock -w 60 8; do
        spent=$((SECONDS - began))
        say "still waiting for $name: $(minutes $spent) so far"
    done
}

# build NAME TARGET: without the symbols of debuggers, which cost a tenth of the compiler's time.
build() {
    local name=$1 target=$2 began=$SECONDS module package flags
    read -r module package _ flags < <(source_of "$name")
    say "building $name from Go modules (once per machine, about $(minutes "$(seconds_of "$name")"))"
    mkdir -p "${target%/*}"
    (cd "modules/$module" && CGO_ENABLED=0 go build -trimpath -gcflags all=-dwarf=false -ldflags "-s -w $flags" -o "$target.new" "$package") 8>&-
    mv "$target.new" "$target"
    echo $((SECONDS - began)) >"$CACHE/$name.seconds"
}

# How long it took to build a program on this machine, or takes on others.
seconds_of() {
    local seconds
    read -r _ _ seconds _ < <(source_of "$1")
    cat "$CACHE/$1.seconds" 2>/dev/null || echo "$seconds"
}

minutes() { if (($1 < 100)); then echo "$1 s"; else echo "$((($1 + 30) / 60)) min"; fi; }

# build_ahead PART…: builds what these parts need, one after the other, while packages are installed and images are made.
build_ahead() {
    local part name missing=() total=0
    for part; do
        for name in $(programs_of "$part"); do
            [[ " ${missing[*]-} " == *" $name "* || -x $(executable_of "$name") ]] || missing+=("$name")
        done
    done
    ((${#missing[@]})) || return 0
    for name in "${missing[@]}"; do total=$((total + $(seconds_of "$name"))); done
    say "building ${missing[*]}: about $(minutes "$total") on two processors, in the background"
    # A process group of its own, so that whatever ends this ends the compiler, too.
    set -m
    for name in "${missing[@]}"; do program "$name" || break; done >/dev/null 2>"$LOGS/build.log" 9>&- &
    ahead=$!
    set +m
    trap 'kill -TERM -- "-$ahead" 2>/dev/null || true' EXIT
}
