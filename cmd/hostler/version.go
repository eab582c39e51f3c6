package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
)

// version is set by the linker; see the Makefile.
var version string

// versionView is what `version --json` prints.
type versionView struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

func thisVersion() versionView {
	v := version
	if v == "" {
		v = "unknown"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			v = info.Main.Version
		}
	}
	return versionView{v, runtime.Version(), runtime.GOOS, runtime.GOARCH}
}

func versionLine() string {
	v := thisVersion()
	return "hostler " + v.Version + " " + v.OS + "/" + v.Arch + " " + v.Go
}

func newVersion(a *app) *cobra.Command {
	verify, sums := false, ""
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version, and what the program is made of",
		Long: `Print the version. --verify lists what this program is made of, as the Go compiler recorded it: the settings of the build, each module with its version and the
sum of its content, the agents that it carries along. Modules are compared with the go.sum that it was built with, or with the one of --sums, agents with the digests
that they were packed with and with the program's own modules. The exit status is 0 where all is as it should be, and 6 where something is not.`,
		Example: "  hostler version --json\n  hostler version --verify --sums go.sum",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			switch {
			case verify:
				return a.verifyVersion(sums)
			case sums != "":
				return fault.Invalid("", "--sums is for --verify")
			}
			return a.printVersion()
		},
	}
	cmd.Flags().BoolVar(&verify, "verify", false, "compare what it is made of with what it should be")
	cmd.Flags().StringVar(&sums, "sums", "", "the go.sum of the source in `FILE`, for --verify")
	_ = cmd.MarkFlagFilename("sums")
	return cmd
}

func (a *app) printVersion() error {
	if a.JSON {
		return a.PrintJSON(thisVersion())
	}
	return term.Printf(a.Out, "%s\n", versionLine())
}
