module windlass.dev/scripts/schemas

go 1.24
