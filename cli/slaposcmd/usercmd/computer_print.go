package usercmd

import (
	"io"
	"strings"

	"github.com/hostler-project/hostler/cli/term"
)

// printComputer prints a computer, and a line for each thing on it.
func printComputer(w io.Writer, v *computerDetailView) error {
	if err := term.Printf(w, "Reference: %s\nTitle: %s\n", term.Line(v.Computer), term.Line(v.Title)); err != nil {
		return err
	}
	for _, r := range v.Software {
		if err := term.Printf(w, "Software: %s %s%s\n", term.Line(r.Release), r.State, failing(r.Error)); err != nil {
			return err
		}
	}
	for _, i := range v.Instances {
		if err := term.Printf(
			w, "Partition: %s %s %s %s%s\n", term.Line(i.Partition), i.State, term.Line(i.Release),
			term.Line(i.Title), failing(i.Error),
		); err != nil {
			return err
		}
	}
	for _, p := range v.Programs {
		if err := term.Printf(w, "Program: %s %s %s\n", term.Line(p.Partition), term.Line(p.Name), term.Line(p.State)); err != nil {
			return err
		}
	}
	for _, p := range v.Promises {
		how := "kept"
		if p.Failed {
			how = "failed: " + term.Line(p.Text)
		}
		if err := term.Printf(w, "Promise: %s %s %s\n", term.Line(p.Partition), term.Line(p.Name), how); err != nil {
			return err
		}
	}
	return nil
}

// failing formats an error to follow the wanted state.
func failing(err string) string {
	if err == "" {
		return ""
	}
	return ", failed: " + term.Line(strings.Join(strings.Fields(err), " "))
}
