package sourcecmd

import (
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
)

// Documents are the documents that the commands of this package print with --json, by their names
// in docs/json.md.
var Documents = map[string]any{
	"config":        configView{},
	"setting":       settingView{},
	"root":          rootView{},
	"configured":    configuredView{},
	"defaults":      defaultsView{},
	"source-detail": sourceDetail{},
	"test":          testView{},
	"trust":         trustView{},
	"trust-item":    trustItem{},
	"trust-file":    trustFile{},
	"approval":      approvalView{},
	"risk":          config.Risk{},
	"check":         compute.Finding{},
	"project":       projectView{},
}
