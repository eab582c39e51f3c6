package cloudcmd

import "github.com/hostler-project/hostler/provider/openstack/deployment"

// Documents are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var Documents = map[string]any{
	"cloud":        cloudView{},
	"cloud-step":   deployment.Step{},
	"cloud-server": cloudServerView{},
	"cloud-flavor": cloudFlavorView{},
	"cloud-quota":  cloudQuotaView{},
	"cloud-image":  cloudImageView{},
}
