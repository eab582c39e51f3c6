package junit

import "testing"

// Limit makes the limits small for a test: bytes of a file, and cases that are kept of one.
func Limit(t *testing.T, file int64, cases int) {
	wasFile, wasCases := maxFile, maxCases
	t.Cleanup(func() { maxFile, maxCases = wasFile, wasCases })
	maxFile, maxCases = file, cases
}

// What the tests outside of the package see of it.
var (
	ErrTooLarge = errTooLarge
)
