package debugcmd

import "github.com/hostler-project/hostler/pool/recording"

// Documents are what these commands print with --json, by their names in docs/json.md.
var Documents = map[string]any{
	"replay": replayView{}, "replay-decision": decisionView{}, "replay-outcome": recording.Outcome{},
	"replay-grant": recording.Grant{}, "replay-change": recording.Change{}, "replay-passed": recording.Candidate{},
}
