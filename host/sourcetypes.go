package host

import (
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/provider/catalog"
	"github.com/hostler-project/hostler/provider/exec"
	"github.com/hostler-project/hostler/text/nearest"
)

// checkTypes marks the sources whose type is neither a kind nor an executable of the user's, so
// that all that shows or takes a source says so. It is for a program that has all kinds.
func checkTypes(kinds catalog.Table, all []*config.Source) {
	for _, s := range all {
		if !foreign(kinds, s) || s.Err != nil || s.Settings["path"] != "" {
			continue
		}
		if _, err := exec.Find(s.Name, s.Type); err == nil {
			continue
		}
		names := kinds.Names(func(*catalog.Kind) bool { return true })
		meant := ""
		if n := nearest.Meant(s.Type, names); n != "" {
			meant = fmt.Sprintf("did you mean %s? ", n)
		}
		e := &config.Error{
			Source: s.Name, Key: "type",
			Msg: fmt.Sprintf(
				"%s: %sTypes: %s; or an executable hostler-source-%s on PATH",
				s.Type, meant, strings.Join(names, ", "), s.Type,
			),
		}
		e.File, e.Line = s.Position("type")
		s.Err = e
	}
}
