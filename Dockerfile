# The image that CI jobs run in: windlass, a shell, git, certificates, kubectl and helm. `tests/static`, then `windlass build`.
ARG BASE=docker.io/library/alpine:3.22
FROM ${BASE}
# windlass, and whatever else lies beside it.
COPY target/image /usr/local/bin
# What is missing by now comes from Alpine's packages; a base that has it all needs no network here.
# The user of a job is not always the owner of its checkout, which Git would refuse.
RUN set -eu; missing=; \
    for program in git kubectl helm; do command -v "$program" >/dev/null || missing="$missing $program"; done; \
    [ -e /etc/ssl/certs/ca-certificates.crt ] || missing="$missing ca-certificates"; \
    [ -z "$missing" ] || apk add --no-cache $missing; \
    git config --system --add safe.directory '*'
