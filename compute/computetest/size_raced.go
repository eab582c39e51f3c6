//go:build race

package computetest

// muchData is less under the race detector, which pays for each byte: still four times what the
// windows of the agent's protocol (32 MiB of a session), what is kept of a held command's output
// (32 MiB) and mostGrowth may hold.
const muchData = 128 << 20
