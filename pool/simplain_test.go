//go:build !race

package pool_test

// raced tells that this test runs under the race detector, which makes it ten times slower.
const raced = false
