package proxycmd

import "github.com/hostler-project/hostler/slapos/slapproxy"

// importView is what `slapos proxy import` prints with --json.
type importView struct {
	File       string   `json:"file"`
	Version    int      `json:"version"`
	To         string   `json:"to"`
	DryRun     bool     `json:"dry_run,omitzero"`
	Computers  int      `json:"computers"`
	Partitions int      `json:"partitions"`
	Instances  int      `json:"instances"`
	Shared     int      `json:"shared"`
	Releases   int      `json:"releases"`
	Forwarded  int      `json:"forwarded"`
	Notes      []string `json:"notes,omitempty"`
}

// viewImport counts what is in a database.
func viewImport(path string, content *slapproxy.Content, o *importOptions) *importView {
	view := &importView{File: path, Version: content.Version, To: shownStore(o.database), DryRun: o.DryRun,
		Computers: len(content.Computers), Releases: len(content.Supplies),
		Forwarded: len(content.Forwards), Notes: content.Notes}
	for _, c := range content.Computers {
		view.Partitions += len(c.Partitions)
	}
	for _, n := range content.Instances {
		if n.Shared {
			view.Shared++
		} else {
			view.Instances++
		}
	}
	return view
}
