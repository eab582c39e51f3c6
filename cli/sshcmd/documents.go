package sshcmd

// Documents are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var Documents = map[string]any{"ssh": sshView{}}
