// Package check looks at a source as it is configured, without its provider.
package check

import (
	"errors"
	"fmt"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/provider"
)

// FaultOf is what is wrong with a source: with its file, the values of its type's keys, and what
// they name on this machine, such as a template; nil: nothing that can be seen without anybody
// being asked. It is what is asked wherever a configuration is looked at: by apply, reload, serve
// and all that show sources.
func FaultOf(s *config.Source) error {
	_, err := SeenIn(s)
	return err
}

// SeenIn is faultOf, with what is odd and may be meant so.
func SeenIn(s *config.Source) (odd []string, err error) {
	if err := ValuesOf(s); err != nil {
		return nil, err
	}
	if s.Kind.Look == nil {
		return nil, nil
	}
	odd, err = s.Kind.Look(s.Decode, provider.Site{Source: s.Name, Type: s.Type, Requested: s.Image != "" || !keepsReady(s)})
	return odd, host.AtKey(err, s.Name, s.Position)
}

// ValuesOf is what is wrong with a source's file alone, and all of it where it could be read to its
// end.
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
	err := s.Kind.Check(s.Decode)
	if len(api.Apart(err)) == 1 { // more are config's, with their places
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

// keepsReady tells whether instances of a source are made that nobody has asked for.
func keepsReady(s *config.Source) bool {
	return s.Reserve > 0 || s.Spare > 0 || s.Cold > 0 || s.Strategy == "demand" || len(s.Schedule) > 0 ||
		s.Settings["warm"] != "" && s.Settings["warm"] != "0"
}

// Oddities says what of a source cannot be meant so, or does not work yet. Nothing is opened for
// it, and what is broken is told elsewhere.
func Oddities(s *config.Source) []string {
	odd, _ := SeenIn(s)
	return append(OddNumbers(s), Named(s, odd)...)
}

// Named puts a source's name before what is said of it.
func Named(s *config.Source, lines []string) []string {
	for n, line := range lines {
		lines[n] = fmt.Sprintf("source %s: %s", s.Name, line)
	}
	return lines
}

// OddNumbers says which numbers of a source cannot be meant so.
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
	if s.Type == "local" && s.Maximum > 1 {
		lines = append(lines, fmt.Sprintf("source %s: maximum %d, and there is one of type local: this machine", s.Name, s.Maximum))
	}
	if s.Type == "local" && s.Reserve > 1 && s.Maximum == 0 {
		lines = append(lines, fmt.Sprintf("source %s: reserve %d, and there is one of type local: this machine", s.Name, s.Reserve))
	}
	return lines
}
