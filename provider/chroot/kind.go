package chroot

import (
	"bytes"
	"context"
	"os"
	"runtime"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/catalog"
)

// Kind is the kind of source whose instances are directories of this machine as a root.
var Kind = catalog.New(catalog.Kind{
	Name:       "chroot",
	Traits:     catalog.Traits{Slow: true, Here: true, Linux: true, ShowsNone: "a chroot shows no directory of this machine"},
	Tree:       catalog.Waits("runs programs of a directory on this machine as root", "*"),
	Others:     catalog.OwnUser,
	LeadsTo:    catalog.LeadsTo("a directory of this machine, as root"),
	Examine:    func(context.Context, catalog.Site) []compute.Finding { return []compute.Finding{examine()} },
	LocalImage: func(string) bool { return true },
}, open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *options, s catalog.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Home, o.Images, o.ImageLimits, o.Others, o.Registry = s.Home, s.Images, s.ImageLimits, s.Others, s.Registry
}

// examine checks whether sources of this kind can work here.
func examine() compute.Finding {
	finding := func(result, detail, hint string) compute.Finding {
		return compute.Finding{Result: result, What: "chroot", Detail: detail, Hint: hint}
	}
	switch {
	case runtime.GOOS != "linux":
		return finding("skip", "needs Linux, and this is "+runtime.GOOS, "reach a Linux machine by a source of type ssh")
	case os.Getuid() != 0:
		return finding("skip", "needs root", "run hostler as root, or reach the machine's root by ssh")
	}
	if known, _ := os.ReadFile("/proc/filesystems"); bytes.Contains(known, []byte("nodev\toverlay\n")) {
		return finding("ok", "root, and overlay file systems", "")
	}
	return finding("warn", "no overlay file system in this kernel: each instance is a whole copy of its base", "modprobe overlay")
}
