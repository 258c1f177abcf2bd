//go:build programs

// Package programs names the program that renders and lints the chart, so that `go mod tidy` keeps it.
package programs

import _ "helm.sh/helm/v3/cmd/helm"
