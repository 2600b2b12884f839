// Schemas writes the table of Kubernetes' schemas that windlass has built in: src/schema/kubernetes.txt.
//
// It reads the Go modules k8s.io/kubernetes and k8s.io/api of each version, which the go command downloads through the
// configured GOPROXY, and keeps facts alone: names of kinds and fields, their types, list keys, enums, and in which versions
// they exist. The same versions give the same bytes.
package main

import (
	"flag"
	"fmt"
	"os"
)

// versions are those of the table, oldest first. Each is the newest patch release that the module proxy served.
var versions = []string{
	"1.27.16", "1.28.15", "1.29.15", "1.30.14", "1.31.14", "1.32.13",
	"1.33.13", "1.34.4", "1.35.4", "1.36.3", "1.37.2",
}

func main() {
	output := flag.String("o", "../../src/schema/kubernetes.txt", "the table to write")
	flag.Parse()
	if err := run(*output); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(output string) error {
	table := newTable(versions)
	for index, version := range versions {
		modules, err := download(version)
		if err != nil {
			return err
		}
		if err := table.add(index, modules); err != nil {
			return fmt.Errorf("%s: %w", version, err)
		}
	}
	return os.WriteFile(output, table.text(), 0o644)
}
