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

# kubeconfig FILE SERVER CERTIFICATE: for one of the cluster's own programs.
kubeconfig() {
    local file=$1 server=$2 name=$3
    local kubectl=(kubectl --kubeconfig "$file.new")
    rm -f "$file.new"
    "${kubectl[@]}" config set-cluster lab --server "$server" --certificate-authority "$PKI/ca.crt" --embed-certs >/dev/null
    "${kubectl[@]}" config set-credentials lab --client-certificate "$PKI/$name.crt" --client-key "$PKI/$name.key" --embed-certs >/dev/null
    "${kubectl[@]}" config set-context lab --cluster lab --user lab >/dev/null
    "${kubectl[@]}" config use-context lab >/dev/null
    mv "$file.new" "$file"
}

# context NAME SERVER CERTIFICATE [NAMESPACE]: for people, in the one kubeconfig of the lab.
context() {
    local name=$1 server=$2 certificate=$3 namespace=${4:-default}
    local kubectl=(kubectl --kubeconfig "$KUBECONFIG_FILE")
    "${kubectl[@]}" config set-cluster "$name" --server "$server" --certificate-authority "$PKI/ca.crt" --embed-certs >/dev/null
    "${kubectl[@]}" config set-credentials "$name" --client-certificate "$PKI/$certificate.crt" --client-key "$PKI/$certificate.key" \
        --embed-certs >/dev/null
    "${kubectl[@]}" config set-context "$name" --cluster "$name" --user "$name" --namespace "$namespace" >/dev/null
}
