package selfcmd

import "github.com/hostler-project/hostler/host/provenance"

// Documents are what these commands print with --json, by their names in docs/json.md.
var Documents = map[string]any{
	"verified": provenance.Made{}, "setting-made": provenance.Setting{}, "verified-part": provenance.Part{},
}
