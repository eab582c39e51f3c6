package slaposcmd

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/hostler-project/hostler/cli"
)

// TestMain has this test's program be hostler, as far as it is hostler slapos.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hostler": func() {
		os.Exit(RunSlapos(context.Background(), cli.NewApp(os.Stdin, os.Stdout, os.Stderr), os.Args[2:]))
	}})
}
