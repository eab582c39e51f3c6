package sourcecmd

import (
	"slices"
	"strings"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/text/unified"
)

// viewTrust describes a root by its difference from what was approved, or else from the machine
// without the tree.
func viewTrust(d config.Danger) trustView {
	v := trustView{
		Root: d.Root, Digest: d.Digest, Trusted: d.Trusted, Items: []trustItem{}, Gone: []string{},
		Risks: append([]config.Risk{}, d.Risks...),
	}
	for _, it := range d.Items {
		one := trustItem{Name: it.Name, State: string(it.State), Source: it.Source, File: it.File, Line: it.Line, Effect: it.Effect,
			Says: slices.Concat([]string{}, it.Says), Before: slices.Concat([]string{}, it.Machine),
			Files: []trustFile{}, Reasons: append([]config.Risk{}, it.Risks...)}
		var was []config.BoundFile
		switch it.State {
		case config.ItemChanged:
			one.Before, was = slices.Concat([]string{}, it.Was.Says), it.Was.Files
		case config.ItemApproved:
			one.Before, was = one.Says, it.Files
		}
		one.Files = viewFiles(was, it.Files)
		v.Items = append(v.Items, one)
	}
	for _, a := range d.Gone {
		v.Gone = append(v.Gone, a.Name)
	}
	return v
}

// viewFiles compares files with their approved contents.
func viewFiles(was, is []config.BoundFile) []trustFile {
	out := []trustFile{}
	at := func(in []config.BoundFile, path string) int {
		return slices.IndexFunc(in, func(f config.BoundFile) bool { return f.Path == path })
	}
	for _, f := range is {
		one := trustFile{Path: f.Path, State: "new", Lines: strings.Count(f.Text, "\n")}
		if i := at(was, f.Path); i >= 0 && was[i].Digest == f.Digest {
			one.State = "approved"
		} else if i >= 0 {
			one.State = "changed"
			if was[i].Text != "" && f.Text != "" {
				one.Diff = unified.Diff(was[i].Text, f.Text)
			}
		}
		out = append(out, one)
	}
	for _, f := range was {
		if at(is, f.Path) < 0 {
			out = append(out, trustFile{Path: f.Path, State: "gone"})
		}
	}
	return out
}
