//go:build tools

// Package tools names what the lab builds, so that go.mod and go.sum pin it.
package tools

import _ "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"
