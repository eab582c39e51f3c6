package slaposcmd

import (
	"maps"

	"github.com/hostler-project/hostler/cli/slaposcmd/configurecmd"
	"github.com/hostler-project/hostler/cli/slaposcmd/nodecmd"
	"github.com/hostler-project/hostler/cli/slaposcmd/proxycmd"
	"github.com/hostler-project/hostler/cli/slaposcmd/usercmd"
)

// Documents returns the documents that the commands of SlapOS print with --json, by their names in
// docs/json.md.
func Documents() map[string]any {
	all := map[string]any{}
	for _, some := range []map[string]any{
		usercmd.Documents, configurecmd.Documents, nodecmd.Documents, proxycmd.Documents,
	} {
		maps.Copy(all, some)
	}
	return all
}
