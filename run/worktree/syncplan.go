package worktree

import (
	"cmp"
	"slices"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// Plan is what a sync of a tree would do, and to which instance. It is the document of `run
// --plan`.
type Plan struct {
	Root         string            `json:"root"`
	Directory    string            `json:"directory"`
	Mode         string            `json:"mode"`
	Files        int               `json:"files"`
	Links        int               `json:"links"`
	Bytes        int64             `json:"bytes"`
	SendFiles    int               `json:"send_files"`
	SendBytes    int64             `json:"send_bytes"`
	Deletes      int               `json:"deletes"`
	Hidden       []string          `json:"hidden"`
	Special      []string          `json:"special"`
	Outside      []string          `json:"outside"`
	BiggestFiles []scan.PathWeight `json:"biggest_files"`
	BiggestDirs  []scan.PathWeight `json:"biggest_dirs"`
	Warning      string            `json:"warning,omitempty"`
	Refused      string            `json:"refused,omitempty"`
	Hint         string            `json:"hint,omitempty"`
	Instance     string            `json:"instance,omitempty"`
	Lease        string            `json:"lease,omitempty"`
	Source       string            `json:"source"`
}

// biggest is how many of the largest files a plan names.
const biggest = 5

// NewPlan describes a tree.
func NewPlan(tree *scan.Tree) *Plan {
	p := &Plan{Root: tree.Root, Directory: cmp.Or(tree.Sub, "."), Mode: "dir", Bytes: tree.Bytes,
		Hidden: append([]string{}, tree.Hidden...), Special: append([]string{}, tree.Special...),
		Outside: append([]string{}, tree.Outside...), BiggestFiles: []scan.PathWeight{},
		BiggestDirs: append([]scan.PathWeight{}, scan.Weigh(tree.Entries).Dirs...)}
	if tree.Git {
		p.Mode = "git"
	}
	for i := range tree.Entries {
		switch e := &tree.Entries[i]; e.Kind {
		case scan.Link:
			p.Links++
		case scan.File:
			p.Files++
			p.BiggestFiles = heaviest(p.BiggestFiles, scan.PathWeight{Path: e.Path, Files: 1, Bytes: e.Size})
		}
	}
	return p
}

// heaviest adds a file to the list of the largest, if it is one of them.
func heaviest(list []scan.PathWeight, f scan.PathWeight) []scan.PathWeight {
	i, _ := slices.BinarySearchFunc(
		list, f, func(a, b scan.PathWeight) int {
			return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Path, b.Path))
		},
	)
	if i >= biggest {
		return list
	}
	list = slices.Insert(list, i, f)
	return list[:min(len(list), biggest)]
}

// Compare fills in what would be sent and removed, by the copy's last list, and what the guards say
// of that. large and deletes switch them off.
func (p *Plan) Compare(tree *scan.Tree, last []scan.Entry, large, deletes bool) {
	changed, gone := tree.Changes(last)
	weight := scan.Weigh(changed)
	p.SendFiles, p.SendBytes, p.Deletes = weight.Files, weight.Bytes, gone
	var err error
	if p.Warning, err = weight.Check(large); err == nil {
		err = scan.CheckDeletes(len(last), gone, deletes)
	}
	if err != nil {
		p.Refused, p.Hint = api.Text(err), compute.Hint(err)
	}
}
