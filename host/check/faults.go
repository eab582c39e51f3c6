// Package check examines a configured source without opening its provider.
package check

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/catalog"
)

// FaultOf returns what is wrong with a source, or nil: its file, the values of its type's keys, and
// the files that they name on this machine. It contacts nothing. Everything that looks at a
// configuration uses it: apply, reload, serve, and the commands that show sources.
func FaultOf(s *config.Source) error {
	_, err := SeenIn(s)
	return err
}

// SeenIn is FaultOf that also returns what is odd and may be intended.
func SeenIn(s *config.Source) (odd []string, err error) {
	if err := ValuesOf(s); err != nil {
		return nil, err
	}
	if err := imageOf(s); err != nil {
		return nil, err
	}
	if s.Kind.Look == nil {
		return nil, nil
	}
	odd, err = s.Kind.Look(s.Decode, siteOf(s))
	return odd, host.AtKey(err, s.Name, s.Position)
}

// imageOf returns an error if the image of a source is a file of this machine that is not there.
func imageOf(s *config.Source) error {
	file := cmp.Or(s.Image, s.Settings["image"])
	if !filepath.IsAbs(file) {
		return nil
	}
	if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
		return host.AtKey(provider.WrongKey("image", "", "image = %s: no such file", file), s.Name, s.Position)
	}
	return nil
}

// ValuesOf returns what is wrong with the text of a source's file alone. If the file could be read
// to its end, that includes all wrong values.
func ValuesOf(s *config.Source) error {
	if s.Kind.Check == nil {
		return s.Err
	}
	for _, e := range api.Apart(s.Err) {
		if at, ok := errors.AsType[*config.Error](e); e != nil &&
			(!ok || at.Key == "" || at.Line == 0 || errors.Is(e, config.ErrUntrusted)) {
			return s.Err
		}
	}
	err := s.Kind.Check(s.Decode, siteOf(s))
	if len(api.Apart(err)) == 1 { // several errors are config's and have their places
		err = host.AtKey(err, s.Name, s.Position)
	}
	switch {
	case s.Err == nil:
		return err
	case err == nil:
		return s.Err
	}
	return errors.Join(append(api.Apart(s.Err), api.Apart(err)...)...)
}

// siteOf returns what is known of a source's site before its provider is opened.
func siteOf(s *config.Source) catalog.Site {
	site := host.UserSite()
	site.Source, site.Type, site.Requested = s.Name, s.Type, s.Image != "" || !keepsReady(s)
	return site
}

// keepsReady reports whether instances of a source are made before they are requested.
func keepsReady(s *config.Source) bool {
	return s.Reserve > 0 || s.Spare > 0 || s.Cold > 0 || s.Strategy == "demand" || len(s.Schedule) > 0 ||
		s.Settings["warm"] != "" && s.Settings["warm"] != "0"
}

// Oddities returns what in a source is probably not intended, or does not work yet. It opens
// nothing.
func Oddities(s *config.Source) []string {
	odd, _ := SeenIn(s)
	return append(OddNumbers(s), Named(s, odd)...)
}

// Named adds the source's name to lines.
func Named(s *config.Source, lines []string) []string {
	for n, line := range lines {
		lines[n] = fmt.Sprintf("source %s: %s", s.Name, line)
	}
	return lines
}

// OddNumbers returns the numbers of a source that are probably not intended.
func OddNumbers(s *config.Source) (lines []string) {
	if s.Err != nil {
		return nil
	}
	if s.Maximum > 0 && s.Reserve > s.Maximum {
		lines = append(
			lines,
			fmt.Sprintf("source %s: reserve %d is more than maximum %d: so many there never are", s.Name, s.Reserve, s.Maximum),
		)
	}
	if s.Maximum > 0 && s.Spare > s.Maximum {
		lines = append(
			lines,
			fmt.Sprintf("source %s: spare %d is more than maximum %d: so many never stand ready", s.Name, s.Spare, s.Maximum),
		)
	}
	if !s.Kind.Itself {
		return lines
	}
	one := "there is one of type " + s.Type + ": this machine"
	if s.Maximum > 1 {
		lines = append(lines, fmt.Sprintf("source %s: maximum %d, and %s", s.Name, s.Maximum, one))
	}
	if s.Reserve > 1 && s.Maximum == 0 {
		lines = append(lines, fmt.Sprintf("source %s: reserve %d, and %s", s.Name, s.Reserve, one))
	}
	return lines
}
