//go:build tools

// Package tools names what the lab builds as it is, so that go.mod and go.sum pin it.
package tools

import (
	_ "github.com/rancher/local-path-provisioner"
	_ "helm.sh/helm/v4/cmd/helm"
	_ "sigs.k8s.io/kwok/cmd/kwok"
)
