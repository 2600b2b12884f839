# shellcheck shell=bash disable=SC2034
# What jobs of GitLab need: gitlab-ci-local, which runs a pipeline here, and the base of the image that the jobs run in.

# The last one for Node 20.
readonly GITLAB_CI_LOCAL=4.73.0

up_gitlab() {
    local base=$REGISTRY/base/job:12 tree
    gitlab_ci_local
    tree=$CACHE/job-$(declare -f job_tree | sha256sum | cut -c1-16).tar
    if [[ -e $STATE/${tree##*/} ]] && curl -sf "http://$REGISTRY/v2/base/job/manifests/12" -o /dev/null; then return; fi
    job_tree "$tree"
    import "$base" 'CMD ["sh"]' <"$tree"
    touch "$STATE/${tree##*/}"
}

gitlab_ci_local() {
    local directory=$CACHE/gitlab-ci-local-$GITLAB_CI_LOCAL
    if [[ ! -x $directory/node_modules/.bin/gitlab-ci-local ]]; then
        command -v npm >/dev/null || fail "npm is missing: https://nodejs.org (Node 20 or newer)"
        say "installing gitlab-ci-local $GITLAB_CI_LOCAL"
        npm install --silent --no-audit --no-fund --prefix "$directory" "gitlab-ci-local@$GITLAB_CI_LOCAL" >"$LOGS/npm.log" 2>&1 ||
            { tail -n 20 "$LOGS/npm.log" >&2; fail "npm could not install gitlab-ci-local"; }
    fi
    mkdir -p "$TOOLS"
    ln -sfn "$directory/node_modules/.bin/gitlab-ci-local" "$TOOLS/gitlab-ci-local"
}

# A Debian with git and certificates, and rsync, by which gitlab-ci-local takes artifacts out of containers.
job_tree() {
    local target=$1 tree=$CACHE/job.tree
    [[ -e $target ]] && return
    say "making a Debian for jobs (a minute)"
    rm -rf "$tree"
    debootstrap --variant=minbase --include=git,ca-certificates,rsync bookworm "$tree" \
        >"$LOGS/debootstrap-job.log" 2>&1 || { tail -n 20 "$LOGS/debootstrap-job.log" >&2; fail "debootstrap failed"; }
    rm -rf "$tree"/var/cache/apt/* "$tree"/var/lib/apt/lists/* "$tree"/usr/share/{doc,man,locale,i18n}/* "$tree"/var/log/* "${tree:?}"/dev/*
    tar --sort=name --mtime=@0 --numeric-owner -C "$tree" -cf "$target.new" .
    mv "$target.new" "$target"
    rm -rf "$tree"
}
