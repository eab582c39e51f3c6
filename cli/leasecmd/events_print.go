package leasecmd

import (
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
)

// printEvent prints an event on one line.
func printEvent(a *cli.App, e compute.Event) error {
	if a.JSON {
		return a.PrintLine(e)
	}
	about := string(e.Instance)
	if about == "" {
		about = e.Source
	}
	words := []string{e.Time.Local().Format(time.DateTime), e.Kind, about}
	if e.Owner != "" {
		words = append(words, "("+term.Line(e.Owner)+")")
	}
	if e.Text != "" {
		words = append(words, term.Line(e.Text))
	}
	keys := make([]string, 0, len(e.Data))
	for k := range e.Data {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		words = append(words, k+"="+term.Line(e.Data[k]))
	}
	return term.Printf(a.Out, "%s\n", strings.Join(words, "  "))
}
