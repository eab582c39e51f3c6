package root

import (
	"cmp"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/host/version"
)

// shortHelp is what hostler alone says.
func shortHelp(a *cli.App, cmd *cobra.Command) error {
	return term.Printf(a.Out, `%s
Hostler keeps computers ready: ask for one, use it as if it were local, give it back.

  %-33s obtain a computer, run a command on it, give it back
  hostler status                    what there is
  hostler help                      all commands
  hostler doctor                    what works on this machine
`, version.Line(), "hostler run "+cli.DefaultSource(a.Host.Kinds)+" -- make test")
}

// manualText is the comment of a package, its doc.go, as the text of `hostler help`.
func manualText(manual string) string {
	_, text, _ := strings.Cut(manual, "/*\n")
	text, _, _ = strings.Cut(text, "\n*/")
	return strings.ReplaceAll(text, "\n\t", "\n  ")
}

// checkedWriter remembers that a write failed: what prints help does not ask.
type checkedWriter struct {
	io.Writer
	err error
}

func (w *checkedWriter) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	w.err = cmp.Or(w.err, err)
	return n, err
}
