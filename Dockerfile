# One static file and nothing else; tests/static builds it.
FROM scratch
COPY target/image/windlass /windlass
ENTRYPOINT ["/windlass"]
