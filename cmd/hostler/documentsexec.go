package main

// execDocuments are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var execDocuments = map[string]any{
	"hidden":       hiddenView{},
	"hidden-path":  hiddenPath{},
	"hidden-use":   hiddenUse{},
	"forward":      forwardView{},
	"facts":        factsView{},
	"usage":        usageView{},
	"job":          jobView{},
	"runs-at-once": manyView{},
	"run-at-once":  partView{},
	"line":         lineView{},
	"report":       runReport{},
	"ssh":          sshView{},
	"gitlab":       gitlabView{},
	"tree-plan":    treePlan{},
	"heavy":        heavyView{},
	"runs-pruned":  prunedView{},
}
