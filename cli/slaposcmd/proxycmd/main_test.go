package proxycmd

import (
	"context"
	"os"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/cli/term"
)

// TestMain has this test's program be hostler, as far as it is hostler slapos proxy.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"hostler": func() {
		s := session.New(cli.NewApp(os.Stdin, os.Stdout, os.Stderr))
		slapos := &cobra.Command{Use: "slapos"}
		s.Options(slapos.PersistentFlags())
		slapos.AddCommand(New(s))
		root := &cobra.Command{Use: "hostler", SilenceErrors: true, SilenceUsage: true}
		root.AddCommand(slapos)
		err := root.ExecuteContext(context.Background())
		s.App.Tell(err)
		os.Exit(term.ExitStatus(err))
	}})
}
