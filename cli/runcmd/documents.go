package runcmd

import (
	"github.com/hostler-project/hostler/run/missingpaths"
	"github.com/hostler-project/hostler/run/workspace/scan"
	"github.com/hostler-project/hostler/run/worktree"
)

// Documents are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var Documents = map[string]any{
	"hidden":       missingpaths.Report{},
	"hidden-path":  missingpaths.Path{},
	"hidden-use":   missingpaths.Use{},
	"forward":      forwardView{},
	"facts":        factsView{},
	"usage":        usageView{},
	"job":          jobView{},
	"runs-at-once": manyView{},
	"run-at-once":  partView{},
	"line":         lineView{},
	"report":       RunReport{},
	"gitlab":       gitlabView{},
	"tree-plan":    worktree.Plan{},
	"heavy":        scan.PathWeight{},
	"runs-pruned":  prunedView{},
}
