package metalcmd

// Documents are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var Documents = map[string]any{
	"simulation":        simulationView{},
	"wait":              waitView{},
	"metal-plan":        metalPlanView{},
	"metal-round":       metalRoundView{},
	"metal-explanation": metalExplanationView{},
	"explanation":       explanationView{},
	"imported":          importedView{},
}
