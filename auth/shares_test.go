package auth_test

import (
	"testing"

	"github.com/hostler-project/hostler/auth"
)

// TestShares: one name has half at most, however much it asks, and each further one finds some.
func TestShares(t *testing.T) {
	s := auth.NewShares(100)
	all := func(name string) (n int, last func()) {
		for {
			free, ok := s.Take(name, 1)
			if !ok {
				return n, last
			}
			n, last = n+1, free
		}
	}
	first, free := all("ann")
	second, _ := all("bob")
	third, _ := all("cat")
	if first != 50 || second != 25 || third != 13 {
		t.Errorf("got %d, %d and %d, want 50, 25 and 13", first, second, third)
	}
	if _, ok := s.Take("dan", 13); ok {
		t.Error("got 13 of 12 that are left")
	}
	free()
	free() // counts once
	if _, ok := s.Take("dan", 13); !ok {
		t.Error("got none of 13 that are left")
	}
	if _, ok := auth.NewShares(0).Take("ann", 1); !ok {
		t.Error("got nothing where there is one")
	}
}
