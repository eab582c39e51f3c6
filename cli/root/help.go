package root

import (
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

// written notes the first error of writing, which cobra's help does not return.
type written struct {
	io.Writer
	err error
}

func (w *written) Write(b []byte) (int, error) {
	n, err := w.Writer.Write(b)
	if w.err == nil {
		w.err = err
	}
	return n, err
}

// helpOf has --help tell of a word that is no command, in place of the help of all commands.
func helpOf(root *cobra.Command) (unknown func() error) {
	var err error
	help := root.HelpFunc()
	root.SetHelpFunc(func(c *cobra.Command, args []string) {
		if words := c.Flags().Args(); c == root && len(words) > 0 {
			err = cli.UnknownCommand(root, words[0])
			return
		}
		help(c, args)
	})
	return func() error { return err }
}
