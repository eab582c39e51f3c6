package main

import (
	"io"
	"testing"

	"github.com/hostler-project/hostler/cli"
)

// TestNames makes sure that each command stands under its own name.
func TestNames(t *testing.T) {
	for name, make := range commands {
		if got := make(cli.NewApp(nil, io.Discard, io.Discard)).Name(); got != name {
			t.Errorf("got the command %s for the word %s, want %[2]s", got, name)
		}
	}
}
