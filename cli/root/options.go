package root

import (
	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
)

// addOptions adds the options that all commands take.
func addOptions(root *cobra.Command, a *cli.App) {
	f := root.PersistentFlags()
	f.StringVarP(&a.Flags.Dir, "directory", "C", "", "work in `DIR` instead of the current directory")
	f.StringVar(&a.Host.ConfigDir, "config", "", "read `DIR` before the other roots of configuration")
	f.BoolVar(&a.JSON, "json", false, "print JSON; see docs/json.md")
	f.BoolVarP(&a.Quiet, "quiet", "q", false, "print only results and errors")
	f.BoolVar(&a.Debug, "debug", false, "say on standard error what is done")
	f.StringVar(&a.Flags.Controller, "controller", "", "ask the controller at `URL`, or at the socket unix:PATH")
	f.BoolVar(&a.Flags.Embedded, "embedded", false, "ask no controller, though there is one")
	f.StringVar(&a.Flags.Project, "project", "", "work in the project `NAME` of the controller; $HOSTLER_PROJECT unless it is said")
	f.StringVar(
		&a.Flags.Reason, "reason", "",
		"say why, in `WORDS` that the controller's audit log keeps; $HOSTLER_REASON unless it is said",
	)
	_ = root.RegisterFlagCompletionFunc("project", cli.CompleteProjects(a))
	f.StringVar(&a.Flags.Ca, "ca", "", "trust the authority in `FILE` for the certificate of --controller; $HOSTLER_CA unless it is said")
	_ = root.MarkPersistentFlagFilename("ca")
	root.Flags().StringVarP(&a.Flags.Source, "source", "s", "", "use the source `NAME`; goes before the verb or after it")
	_ = root.RegisterFlagCompletionFunc("source", a.CompleteSources)
	_ = root.MarkPersistentFlagDirname("directory")
	_ = root.MarkPersistentFlagDirname("config")
	root.Flags().BoolP("version", "v", false, "print the version")
}
