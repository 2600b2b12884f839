# shellcheck shell=bash disable=SC2034
# What the lab installs (Debian packages) and builds (from Go modules). Built things lie in the cache, keyed by
# what they are built from.

packages_of() {
    case $1 in
        network) echo rsync faketime iproute2 iptables procps curl openssl ;;
        docker) echo docker.io ;;
        ssh) echo openssh-server openssh-client ;;
        podman) echo podman catatonit netavark aardvark-dns runc ;;
        buildkit) echo runc ;;
        registry) echo docker-registry apache2-utils ;;
        images) echo debootstrap busybox-static gcc libc6-dev ;;
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

# build MODULE PACKAGE LDFLAGS: prints the path of the executable, built if the cache has none.
build() {
    local module=$1 package=$2 flags=$3 key target
    key=$(echo "$flags" | cat - "modules/$module"/* | sha256sum | cut -c1-16)
    target=$CACHE/$module-$key/$module
    if [[ ! -x $target ]]; then
        command -v go >/dev/null || fail "Go is missing: https://go.dev/dl"
        say "building $module from Go modules (once per machine; Kubernetes takes 6 minutes, the others 1 or 2)"
        mkdir -p "${target%/*}"
        (cd "modules/$module" && CGO_ENABLED=0 go build -trimpath -ldflags "-s -w $flags" -o "$target.new" "$package") 9>&- >&2
        mv "$target.new" "$target"
    fi
    echo "$target"
}

kubernetes() {
    local version=v1.34.4 package=k8s.io/component-base/version
    build kubernetes . "-X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=34"
}
