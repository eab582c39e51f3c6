// Package version says which version this program is.
package version

import (
	"runtime"
	"runtime/debug"
)

// Number is set by the linker; see the Makefile.
var Number string

// Info is what `version --json` prints.
type Info struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	Arch    string `json:"arch"`
}

// Read returns the version of this program; Version is "unknown" if nothing was recorded.
func Read() Info {
	v := Number
	if v == "" {
		v = "unknown"
		if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
			v = info.Main.Version
		}
	}
	return Info{v, runtime.Version(), runtime.GOOS, runtime.GOARCH}
}

// Line returns the version in one line.
func Line() string {
	v := Read()
	return "hostler " + v.Version + " " + v.OS + "/" + v.Arch + " " + v.Go
}
