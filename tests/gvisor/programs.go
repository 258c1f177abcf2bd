//go:build programs

// Package programs names the program of others that scripts/engine-lab builds, so that `go mod tidy` keeps it.
package programs

import _ "gvisor.dev/gvisor/runsc"
