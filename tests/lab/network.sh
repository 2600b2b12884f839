# shellcheck shell=bash disable=SC2034
# The bridge of the pods, whose address is also the address of the lab's servers.

up_network() {
    ip link show "$BRIDGE" >/dev/null 2>&1 || ip link add "$BRIDGE" type bridge
    [[ $(ip addr show dev "$BRIDGE") == *"inet $ADDRESS/"* ]] || ip addr add "$ADDRESS/16" dev "$BRIDGE"
    ip link set "$BRIDGE" up
    [[ $(cat /proc/sys/net/ipv4/ip_forward) == 1 ]] || echo 1 >/proc/sys/net/ipv4/ip_forward
    authority
}

# dockerd sets the policy of FORWARD to DROP: without these, pods reach nobody.
allow_forwarding() {
    local chain=FORWARD
    ! iptables -w -n -L DOCKER-USER >/dev/null 2>&1 || chain=DOCKER-USER
    iptables -w -C "$chain" -i "$BRIDGE" -j ACCEPT 2>/dev/null || iptables -w -I "$chain" -i "$BRIDGE" -j ACCEPT
    iptables -w -C "$chain" -o "$BRIDGE" -j ACCEPT 2>/dev/null || iptables -w -I "$chain" -o "$BRIDGE" -j ACCEPT
}

down_network() {
    ip link delete "$BRIDGE" 2>/dev/null || true
    # Ours are: what names our bridge, the chains of kube-proxy and of our CNI network, and, as ours is the only
    # Docker Engine with the default bridge here, Docker's chains and docker0.
    local rules
    rules=$(iptables-save 2>/dev/null || true)
    if [[ $rules =~ $BRIDGE|KUBE-|CNI-|DOCKER ]]; then
        grep -vE "^:(KUBE|CNI|DOCKER)|(-A|-j) (KUBE|CNI|DOCKER)|$BRIDGE|docker0|$POD_CIDR" <<<"$rules" |
            sed 's/^:FORWARD DROP/:FORWARD ACCEPT/' | iptables-restore -w || true
    fi
    [[ ! -e /sys/class/net/docker0 ]] || ip link delete docker0 || true
}
