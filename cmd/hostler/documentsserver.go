package main

// serverDocuments are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var serverDocuments = map[string]any{
	"login":      loginView{},
	"login-code": codeView{},
}
