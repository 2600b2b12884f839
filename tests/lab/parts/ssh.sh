# shellcheck shell=bash disable=SC2034
# A way to the Engine by ssh, for DOCKER_HOST=ssh://…: with a key of its own, and a configuration that knows it, so that
# nobody's own is touched.

readonly DOCKER_SSH=ssh://root@127.0.0.1:5794

up_ssh() {
    local directory=$STATE/ssh
    mkdir -p "$directory" /run/sshd
    chmod 700 "$directory"
    [[ -e $directory/host ]] || ssh-keygen -q -t ed25519 -N "" -f "$directory/host"
    [[ -e $directory/user ]] || ssh-keygen -q -t ed25519 -N "" -f "$directory/user"
    cp "$directory/user.pub" "$directory/authorized"
    echo "[127.0.0.1]:5794 $(cat "$directory/host.pub")" >"$directory/known"
    cat >"$directory/sshd" <<EOF
ListenAddress 127.0.0.1:5794
HostKey $directory/host
AuthorizedKeysFile $directory/authorized
StrictModes no
UsePAM no
PidFile none
SetEnv DOCKER_HOST=unix://$DOCKER_SOCKET
MaxStartups 100
EOF
    cat >"$directory/config" <<EOF
IdentityFile $directory/user
IdentitiesOnly yes
UserKnownHostsFile $directory/known
EOF
    start sshd "exec 3<>/dev/tcp/127.0.0.1/5794" /usr/sbin/sshd -D -e -f "$directory/sshd"
}
