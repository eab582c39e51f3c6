package nodecmd

import "github.com/hostler-project/hostler/slapos/node/service"

// Documents are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var Documents = map[string]any{
	"node-step":              service.Step{},
	"slapos-release":         service.Release{},
	"slapos-formatted":       formattedView{},
	"slapos-standalone":      standaloneView{},
	"slapos-program":         programView{},
	"slapos-promise-history": promiseHistoryView{},
	"slapos-promise-result":  promiseResultView{},
	"slapos-pruned":          prunedView{},
}
