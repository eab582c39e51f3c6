package proxycmd

// Documents are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var Documents = map[string]any{
	"slapos-imported":        importView{},
	"slapos-certificate":     certificateView{},
	"slapos-shown":           shownView{},
	"slapos-shown-computer":  shownComputer{},
	"slapos-shown-partition": shownPartition{},
	"slapos-shown-shared":    shownShared{},
	"slapos-shown-address":   shownAddress{},
	"slapos-shown-waiting":   shownWaiting{},
}
