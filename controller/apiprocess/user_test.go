package apiprocess

import "testing"

// TestMapped reads tables of user namespaces: of the machine's own, of a container's of an ordinary
// user, and of one with a single number.
func TestMapped(t *testing.T) {
	for table, want := range map[string]bool{
		"         0          0 4294967295\n":                                   true,
		"         0       1000          1\n         1     100000      65536\n": false,
		"      1000       1000          1\n":                                   false,
		"         0     100000      65536\n1879048192 1879048192       1\n":    true,
		"": false,
	} {
		if got := isMapped(table, firstUser); got != want {
			t.Errorf("%q: got %v, want %v", table, got, want)
		}
	}
}
