package main

// cloudDocuments are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var cloudDocuments = map[string]any{
	"cloud":        cloudView{},
	"cloud-step":   cloudStepView{},
	"cloud-server": cloudServerView{},
	"cloud-flavor": cloudFlavorView{},
	"cloud-quota":  cloudQuotaView{},
	"cloud-image":  cloudImageView{},
}
