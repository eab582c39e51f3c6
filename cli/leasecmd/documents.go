package leasecmd

import (
	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
)

// Documents are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var Documents = map[string]any{
	"status":          statusView{},
	"status-computer": slapNodeView{},
	"source":          api.Source{},
	"states":          api.States{},
	"unready":         api.Unready{},
	"instance":        api.Instance{},
	"lease":           api.Lease{},
	"amount":          compute.Resources{},
	"phases":          api.Phases{},
	"top":             topJSON{},
	"released":        ReleasedView{},
}
