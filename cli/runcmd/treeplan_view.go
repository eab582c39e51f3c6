package runcmd

import (
	"cmp"
	"slices"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// treePlan is what run --sync would do, in `run --plan --json`.
type treePlan struct {
	Root         string      `json:"root"`
	Directory    string      `json:"directory"`
	Mode         string      `json:"mode"`
	Files        int         `json:"files"`
	Links        int         `json:"links"`
	Bytes        int64       `json:"bytes"`
	SendFiles    int         `json:"send_files"`
	SendBytes    int64       `json:"send_bytes"`
	Deletes      int         `json:"deletes"`
	Hidden       []string    `json:"hidden"`
	Special      []string    `json:"special"`
	Outside      []string    `json:"outside"`
	BiggestFiles []heavyView `json:"biggest_files"`
	BiggestDirs  []heavyView `json:"biggest_dirs"`
	Warning      string      `json:"warning,omitempty"`
	Refused      string      `json:"refused,omitempty"`
	Hint         string      `json:"hint,omitempty"`
	Instance     string      `json:"instance,omitempty"`
	Lease        string      `json:"lease,omitempty"`
	Source       string      `json:"source"`
}

// heavyView is a large file or directory of a plan.
type heavyView struct {
	Path  string `json:"path"`
	Files int    `json:"files"`
	Bytes int64  `json:"bytes"`
}

// biggest is how many of the largest files a plan names.
const biggest = 5

// viewTree describes a tree for a plan.
func viewTree(tree *scan.Tree) treePlan {
	p := treePlan{Root: tree.Root, Directory: cmp.Or(tree.Sub, "."), Mode: "dir", Bytes: tree.Bytes,
		Hidden: term.Listed(tree.Hidden), Special: term.Listed(tree.Special),
		Outside: term.Listed(tree.Outside), BiggestFiles: []heavyView{}, BiggestDirs: []heavyView{}}
	if tree.Git {
		p.Mode = "git"
	}
	for i := range tree.Entries {
		switch e := &tree.Entries[i]; e.Kind {
		case scan.Link:
			p.Links++
		case scan.File:
			p.Files++
			p.BiggestFiles = heaviest(p.BiggestFiles, heavyView{Path: e.Path, Files: 1, Bytes: e.Size})
		}
	}
	for _, d := range scan.Weigh(tree.Entries).Dirs {
		p.BiggestDirs = append(p.BiggestDirs, heavyView{Path: d.Path, Files: d.Files, Bytes: d.Bytes})
	}
	return p
}

// heaviest adds a file to the list of the largest, if it is one of them.
func heaviest(list []heavyView, f heavyView) []heavyView {
	i, _ := slices.BinarySearchFunc(
		list, f, func(a, b heavyView) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Path, b.Path)) },
	)
	if i >= biggest {
		return list
	}
	list = slices.Insert(list, i, f)
	return list[:min(len(list), biggest)]
}

// changes fills in what would be sent and removed, by the copy's last list, and what the guards say
// of that.
func (p *treePlan) changes(tree *scan.Tree, last []scan.Entry, o *runOptions) {
	changed, gone := tree.Changes(last)
	weight := scan.Weigh(changed)
	p.SendFiles, p.SendBytes, p.Deletes = weight.Files, weight.Bytes, gone
	var err error
	if p.Warning, err = weight.Check(o.sync.large); err == nil {
		err = scan.CheckDeletes(len(last), gone, o.sync.Delete)
	}
	if err != nil {
		p.Refused, p.Hint = term.ErrorText(err), compute.Hint(err)
	}
}
