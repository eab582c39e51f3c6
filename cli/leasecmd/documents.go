package leasecmd

// Documents are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var Documents = map[string]any{
	"status":          statusView{},
	"status-computer": slapNodeView{},
	"source":          SourceView{},
	"states":          StateView{},
	"unready":         unreadyView{},
	"instance":        instanceView{},
	"lease":           leaseView{},
	"amount":          amountView{},
	"phases":          PhasesView{},
	"top":             topJSON{},
	"released":        ReleasedView{},
}
