# shellcheck shell=bash disable=SC2034
# The base images, made on the spot since none can be pulled: busybox, debian, python:3.11, postgres:15, pause.

up_images() {
    local key debian base
    key=$(key_of parts/images.sh images/*)
    debian=$CACHE/debian-$(declare -f debian_tree | cat - images/postgres-start | sha256sum | cut -c1-16).tar
    base=$REGISTRY/base
    if [[ -e $STATE/images-$key ]] && curl -sf "http://$REGISTRY/v2/base/postgres/manifests/15" -o /dev/null; then return; fi
    debian_tree "$debian"
    say "making the base images"
    busybox_tree | import "$base/busybox:latest" 'CMD ["sh"]'
    import "$base/debian:12" 'CMD ["bash"]' <"$debian"
    import "$base/python:3.11" 'CMD ["python3"]' <"$debian"
    import "$base/postgres:15" \
        'ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        'ENV PGDATA=/var/lib/postgresql/data' 'ENTRYPOINT ["postgres-start"]' 'EXPOSE 5432' <"$debian"
    pause_tree | import "$base/pause:1" 'ENTRYPOINT ["/pause"]'
    touch "$STATE/images-$key"
}

# import NAME CHANGE…: the tree on standard input becomes an image, pushed to the open registry.
import() {
    local name=$1 change arguments=()
    shift
    for change; do arguments+=(--change "$change"); done
    lab_docker import "${arguments[@]}" - "$name" >/dev/null
    lab_docker push -q "$name" >/dev/null
}

busybox_tree() {
    local tree
    tree=$(mktemp -d)
    mkdir -p "$tree"/{bin,tmp,etc,root}
    cp /bin/busybox "$tree/bin/busybox"
    /bin/busybox --list | while read -r name; do ln -s busybox "$tree/bin/$name" 2>/dev/null || true; done
    chmod 1777 "$tree/tmp"
    echo 'root:x:0:0:root:/root:/bin/sh' >"$tree/etc/passwd"
    tar --owner=0 --group=0 -C "$tree" -c .
    rm -rf "$tree"
}

pause_tree() {
    local tree
    tree=$(mktemp -d)
    gcc -static -Os -o "$tree/pause" images/pause.c
    tar --owner=0 --group=0 -C "$tree" -c .
    rm -rf "$tree"
}

# A whole Debian with Python and PostgreSQL, without what an image does not need.
debian_tree() {
    local target=$1 tree=$CACHE/debian.tree
    [[ -e $target ]] && return
    say "making a Debian for the base images (a minute or two)"
    rm -rf "$tree"
    mkdir -p "$tree"
    debootstrap --variant=minbase --include=python3,python3-psycopg2,postgresql-15,ca-certificates bookworm "$tree" \
        >"$LOGS/debootstrap.log" 2>&1 || { tail -n 20 "$LOGS/debootstrap.log" >&2; fail "debootstrap failed"; }
    rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/* "$tree"/usr/share/{doc,man,locale,i18n}/* "$tree"/usr/lib/postgresql/15/lib/bitcode \
        "$tree"/var/log/* "$tree"/var/lib/postgresql/15 "$tree"/usr/lib/*/libLLVM* "$tree"/usr/lib/llvm* "${tree:?}"/dev/* "$tree"/usr/lib/*/perl-base
    mkdir -p "$tree/var/lib/postgresql/data" "$tree/var/run/postgresql"
    chmod 1777 "$tree/var/lib/postgresql/data" "$tree/var/run/postgresql" "$tree/run/postgresql" 2>/dev/null || true
    install -m 755 images/postgres-start "$tree/usr/local/bin/postgres-start"
    tar --sort=name --mtime=@0 --numeric-owner -C "$tree" -cf "$target.new" .
    mv "$target.new" "$target"
    rm -rf "$tree"
}
