package slaposcmd

import (
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
)

// globalValues are hostler's global options that take a value.
var globalValues = []string{"-C", "--directory", "--config", "--controller", "--project", "--ca", "--reason"}

// Spread repeats --node and --parameters of hostler slapos request before each of their words,
// since in SlapOS they take several.
func Spread(args []string) []string {
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == cli.SlaposName:
			return append(slices.Clone(args[:i+1]), spreadWords(args[i+1:])...)
		case slices.Contains(globalValues, args[i]):
			i++
		case strings.HasPrefix(args[i], "-") && args[i] != "--", args[i] == cobra.ShellCompRequestCmd,
			args[i] == cobra.ShellCompNoDescRequestCmd:
		default:
			return args // another verb
		}
	}
	return args
}

// spreadWords is Spread for the words after slapos.
func spreadWords(args []string) []string {
	at := slices.Index(args, "request")
	if at < 0 {
		return args
	}
	out := slices.Clone(args[:at+1])
	open, first := "", false // the open option; its first word is still to come
	for i, arg := range args[at+1:] {
		switch name, _, given := strings.Cut(arg, "="); {
		case arg == "--":
			return append(out, args[at+1+i:]...)
		case name == "--node" || name == "--parameters":
			open, first = name, !given
		case strings.HasPrefix(arg, "-") && arg != "-":
			open = ""
		case open != "" && !first:
			out = append(out, open)
		default:
			first = false
		}
		out = append(out, arg)
	}
	return out
}
