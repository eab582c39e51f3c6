package main

// leaseDocuments are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var leaseDocuments = map[string]any{
	"status":          statusView{},
	"status-computer": slapNodeView{},
	"source":          sourceView{},
	"states":          stateView{},
	"unready":         unreadyView{},
	"instance":        instanceView{},
	"lease":           leaseView{},
	"amount":          amountView{},
	"phases":          phasesView{},
	"top":             topJSON{},
	"released":        releasedView{},
}
