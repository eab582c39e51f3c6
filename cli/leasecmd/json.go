package leasecmd

import (
	"context"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
)

// What --json prints are the documents of the API, and these. docs/json.md describes each field,
// and a test compares the two. Times are RFC 3339, durations seconds, sizes bytes. null means no
// limit, or a time that never comes.

// statusView is `status --json`.
type statusView struct {
	Sources   []api.Source   `json:"sources"`
	Instances []api.Instance `json:"instances"`
	Computers []slapNodeView `json:"computers,omitempty"`
	Store     string         `json:"store,omitempty"`
}

// ReleasedView says what became of a name, in `release --json` and `discard --json`.
type ReleasedView struct {
	Name     string `json:"name"`
	Instance string `json:"instance"`
	State    string `json:"state"`
	Already  bool   `json:"already"`
}

// source returns the document of a source.
func source(s inventory.SourceStatus) api.Source {
	broken := ""
	if s.Broken != nil {
		broken = term.ErrorText(s.Broken)
	}
	return api.NewSource(s, broken)
}

// instance returns the document of an instance with its leases.
func instance(i compute.Instance, leases []*compute.Lease) api.Instance {
	var first *compute.Lease
	if len(leases) > 0 {
		first = leases[0]
	}
	return api.NewInstance(i, first).WithShares(leases)
}

// statusJSON prints sources and their instances as a document. With verbose it has SlapOS's
// nodes too.
func statusJSON(a *cli.App, ctx context.Context, engine cli.Engine, sources []inventory.SourceStatus, verbose bool) error {
	v := statusView{Sources: []api.Source{}, Instances: []api.Instance{}, Store: a.Self().Store}
	for _, s := range sources {
		v.Sources = append(v.Sources, source(s))
	}
	instances, leases, err := inventory.InstancesOf(ctx, engine, sources)
	if err != nil {
		return err
	}
	for _, i := range instances {
		v.Instances = append(v.Instances, instance(i, leases[i.ID]))
	}
	if verbose {
		if v.Computers, _, err = slapNodes(a, ctx); err != nil {
			return err
		}
	}
	if a.Stream {
		return a.PrintLine(v)
	}
	return a.PrintJSON(v)
}
