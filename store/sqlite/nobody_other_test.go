//go:build !linux

package sqlite_test

import (
	"os"
	"testing"
)

// asNobody runs f where the user is an ordinary one.
func asNobody(t *testing.T, f func()) {
	t.Helper()
	if os.Geteuid() == 0 {
		t.Skip("permissions: root has them all")
	}
	f()
}
