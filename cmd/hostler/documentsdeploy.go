package main

// deployDocuments are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var deployDocuments = map[string]any{
	"node": nodeView{},
}
