# shellcheck shell=bash disable=SC2034
# One certificate authority for everything in the lab, and the certificates that it signs.

authority() {
    [[ -e $PKI/ca.crt ]] && return
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj /CN=windlass-lab -keyout "$PKI/ca.key" -out "$PKI/ca.crt.new" \
        -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2>/dev/null
    mv "$PKI/ca.crt.new" "$PKI/ca.crt"
}

# certificate NAME SUBJECT [SUBJECT-ALTERNATIVE-NAMES]
certificate() {
    local name=$1 subject=$2 names=${3:-} purpose=clientAuth
    authority
    [[ -e $PKI/$name.crt ]] && return
    [[ -z $names ]] || purpose=serverAuth,clientAuth
    {
        echo "extendedKeyUsage=$purpose"
        [[ -z $names ]] || echo "subjectAltName=$names"
    } >"$PKI/$name.extensions"
    openssl req -new -newkey rsa:2048 -nodes -subj "$subject" -keyout "$PKI/$name.key" -out "$PKI/$name.request" 2>/dev/null
    openssl x509 -req -in "$PKI/$name.request" -CA "$PKI/ca.crt" -CAkey "$PKI/ca.key" -CAcreateserial -days 3650 \
        -extfile "$PKI/$name.extensions" -out "$PKI/$name.crt.new" 2>/dev/null
    mv "$PKI/$name.crt.new" "$PKI/$name.crt"
    rm "$PKI/$name.request" "$PKI/$name.extensions"
}

cluster_of() { echo "{server: '$1', certificate-authority-data: $(base64 -w0 "$PKI/ca.crt")}"; }
user_of() { echo "{client-certificate-data: $(base64 -w0 "$PKI/$1.crt"), client-key-data: $(base64 -w0 "$PKI/$1.key")}"; }

# kubeconfig FILE SERVER CERTIFICATE: for one of the cluster's own programs.
kubeconfig() {
    private "$1" <<EOF
apiVersion: v1
kind: Config
clusters: [{name: lab, cluster: $(cluster_of "$2")}]
users: [{name: lab, user: $(user_of "$3")}]
contexts: [{name: lab, context: {cluster: lab, user: lab}}]
current-context: lab
EOF
}

# private FILE: writes a file that holds keys, in one step.
private() {
    (umask 077 && cat >"$1.new")
    mv "$1.new" "$1"
}

# context NAME SERVER CERTIFICATE [NAMESPACE]: for people, in the one kubeconfig of the lab, which is made of these.
context() {
    local name=$1 directory=$STATE/contexts
    mkdir -p "$directory"
    echo "- {name: $name, cluster: $(cluster_of "$2")}" >"$directory/$name.cluster"
    echo "- {name: $name, user: $(user_of "$3")}" | private "$directory/$name.user"
    echo "- {name: $name, context: {cluster: $name, user: $name, namespace: ${4:-default}}}" >"$directory/$name.context"
    {
        printf 'apiVersion: v1\nkind: Config\nclusters:\n'
        cat "$directory"/*.cluster
        echo users:
        cat "$directory"/*.user
        echo contexts:
        cat "$directory"/*.context
    } | private "$KUBECONFIG_FILE"
}
