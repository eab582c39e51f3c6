package missingpaths

import (
	"path"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/provider/sandbox/watch"
)

// maxPaths is how many hidden paths are reported.
const maxPaths = 1000

// Report is what a command looked for in its sandbox in vain. It is the document of `doctor
// --sandbox`.
type Report struct {
	Source string `json:"source"`
	Paths  []Path `json:"paths"`
	Line   string `json:"line,omitempty"`
	More   int    `json:"more,omitempty"`
	Unread int    `json:"unread,omitempty"`
}

// Path is a path of this machine that a command looked for and that its sandbox does not
// show.
type Path struct {
	Path  string `json:"path"`
	Place string `json:"place,omitempty"`
	At    string `json:"at,omitempty"`
	Cause string `json:"cause"`
	Why   string `json:"why"`
	Uses  []Use  `json:"uses"`
	Line  string `json:"line,omitempty"`
	Hint  string `json:"hint"`
	show  string // what `show` would have to name; "": that does not help
}

// Use is a program that looked for a path, and how.
type Use struct {
	Program string `json:"program"`
	Call    string `json:"call"`
	Times   int    `json:"times"`
}

// add adds a path, or another use of a path that is there under another spelling.
func (r *Report) add(h Path, l *watch.Lookup) {
	if h.Place = string(l.Place); h.Place == path.Clean(h.Path) {
		h.Path, h.Place = h.Place, ""
	}
	i := slices.IndexFunc(r.Paths, func(old Path) bool { return old.Path == h.Path })
	switch {
	case i >= 0:
	case len(r.Paths) == maxPaths:
		r.More++
		return
	default:
		i = len(r.Paths)
		r.Paths = append(r.Paths, h)
	}
	for _, u := range l.Uses {
		r.Paths[i].Uses = append(r.Paths[i].Uses, Use(u))
	}
}

// within reports whether a reported path is in the directory of another one.
func (r *Report) within(h *Path) bool {
	return slices.ContainsFunc(r.Paths, func(o Path) bool { return strings.HasPrefix(o.Path, h.Path+"/") })
}

// setLine writes the source's line that shows all that may be shown. show is the line as it is.
func (r *Report) setLine(show string) {
	var all []string
	for old := range strings.SplitSeq(show, ",") {
		if old = strings.TrimSpace(old); old != "" {
			all = append(all, old)
		}
	}
	before := len(all)
	for _, h := range r.Paths {
		// in a directory show only what was looked for
		if h.show != "" && !slices.Contains(all, h.show) && !r.within(&h) {
			all = append(all, h.show)
		}
	}
	if len(all) > before {
		r.Line = "show = " + strings.Join(all, ", ")
	}
}
