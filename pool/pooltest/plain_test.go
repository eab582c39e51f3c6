//go:build !race

package pooltest

// raced tells that this test runs under the race detector, which makes it ten times slower.
const raced = false
