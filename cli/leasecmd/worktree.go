package leasecmd

import (
	"cmp"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/provider/sandbox"
)

// noTree is the value of AcquireFlags.Start that shows no working tree: a copy goes along, or the
// tree is mounted.
const noTree = "-"

// showTree makes a sandbox with this machine's own root show the working tree in which the command
// starts. start is relative to the current directory.
func showTree(a *cli.App, req *compute.Request, start string) {
	if req.Image != "" || start == noTree || !a.Here() {
		return
	}
	dir := start
	if !filepath.IsAbs(dir) {
		wd, err := os.Getwd()
		if err != nil {
			return
		}
		dir = filepath.Join(wd, start)
	}
	shown, ok := HostRooted(a, req.Source)
	if home := os.Getenv("HOME"); ok && filepath.IsAbs(home) {
		req.Image = sandbox.WorkTree(dir, filepath.Clean(home), shown)
	}
}

// HostRooted reports whether all computers of a source are sandboxes with this machine's own root.
// shown are the paths that the source's keys show.
func HostRooted(a *cli.App, name string) (shown []string, ok bool) {
	s, ok := a.Source(name)
	kind := a.Host.Kinds.Kind(s.Type)
	if !kind.Pool {
		// a controller of this machine may read another configuration and show other paths; then an
		// idle instance lacks the tree
		if own, err := a.Configured(name); err == nil {
			shown = shownBy(own)
		}
		return shown, ok && s.Broken == nil && kind.HostRoot && cmp.Or(s.Image, "host") == "host"
	}
	if s.Broken != nil || a.Remote != nil {
		// a pool may contain itself, and a controller shows no tree in what is behind one
		return nil, false
	}
	for i, child := range s.Children {
		more, all := HostRooted(a, child)
		if !all {
			return nil, false
		}
		if i == 0 {
			shown = more
		}
		shown = both(shown, more)
	}
	return shown, len(s.Children) > 0
}

// shownBy returns the paths that a source shows beside the system.
func shownBy(s *config.Source) []string {
	var out []string
	for p := range strings.SplitSeq(s.Settings["show"], ",") {
		out = append(out, strings.TrimSpace(p))
	}
	for p := range strings.SplitSeq(s.Settings["mounts"], ",") {
		words := strings.Split(strings.TrimSpace(p), ":")
		if len(words) == 1 || words[1] == "ro" || words[1] == "rw" {
			out = append(out, words[0])
		}
	}
	return out
}

// both returns the items of both lists.
func both(a, b []string) []string {
	var out []string
	for _, p := range a {
		for _, q := range b {
			if p == q {
				out = append(out, p)
			}
		}
	}
	return out
}
