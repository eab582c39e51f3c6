package metalcmd

import (
	"github.com/hostler-project/hostler/director/imagecache"
	"github.com/hostler-project/hostler/director/imagecache/strategy"
)

// Documents are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var Documents = map[string]any{
	"simulation":        simulationView{},
	"wait":              waitView{},
	"metal-plan":        strategy.Answer{},
	"metal-round":       imagecache.Report{},
	"metal-explanation": imagecache.Explanation{},
	"explanation":       explanationView{},
	"imported":          importedView{},
}
