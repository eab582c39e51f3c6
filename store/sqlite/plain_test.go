//go:build !race

package sqlite_test

// raced tells that this test runs under the race detector, which makes it ten times slower.
const raced = false
