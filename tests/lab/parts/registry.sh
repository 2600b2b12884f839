# shellcheck shell=bash disable=SC2034
# Two registries: one open, over plain HTTP; one that asks for a password, over TLS.

up_registry() {
    registry_settings registry "$REGISTRY" "" >"$STATE/registry.yaml"
    start registry "curl -sf http://$REGISTRY/v2/" docker-registry serve "$STATE/registry.yaml"

    certificate registry "/CN=registry" "IP:$ADDRESS"
    [[ -e $STATE/htpasswd ]] || htpasswd -Bbn "$REGISTRY_USER" "$REGISTRY_PASSWORD" >"$STATE/htpasswd"
    registry_settings registry-tls "$REGISTRY_TLS" "  tls: {certificate: $PKI/registry.crt, key: $PKI/registry.key}
auth:
  htpasswd: {realm: lab, path: $STATE/htpasswd}" >"$STATE/registry-tls.yaml"
    start registry-tls "curl -s --cacert $PKI/ca.crt https://$REGISTRY_TLS/v2/" \
        docker-registry serve "$STATE/registry-tls.yaml"
}

# registry_settings NAME ADDRESS FURTHER
registry_settings() {
    cat <<EOF
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $STATE/$1}
  delete: {enabled: true}
http:
  addr: $2
  secret: of-no-use-with-one-process
$3
EOF
}
