package usercmd

// Documents are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var Documents = map[string]any{
	"slapos-request":           requestView{},
	"slapos-supply":            SupplyView{},
	"slapos-service-listed":    serviceListedView{},
	"slapos-service":           serviceView{},
	"slapos-computer":          computerView{},
	"slapos-computer-detail":   computerDetailView{},
	"slapos-computer-software": computerSoftwareView{},
	"slapos-computer-instance": computerInstanceView{},
	"slapos-computer-program":  computerProgramView{},
	"slapos-computer-promise":  computerPromiseView{},
	"slapos-token":             tokenView{},
	"slapos-revoked":           revokedView{},
	"slapos-cached":            CachedView{},
}
