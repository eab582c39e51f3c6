package main

import (
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
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
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  hostler version --json",
		Args:    cobra.NoArgs,
		RunE:    func(*cobra.Command, []string) error { return a.printVersion() },
	}
}

func (a *app) printVersion() error {
	if a.flags.json {
		return a.printJSON(thisVersion())
	}
	return fprintf(a.out, "%s\n", versionLine())
}
