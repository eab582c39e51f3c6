//go:build race

package computetest

// muchData is less under the race detector, which makes each byte dear. It is still four times what
// may be held by the windows of the agent's protocol (32 MiB of a session), by the kept output of a
// held command (32 MiB), and by mostGrowth.
const muchData = 128 << 20
