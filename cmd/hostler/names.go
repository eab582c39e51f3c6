package main

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute/fault"
)

// emptyName refuses what most often is a variable that is not set: nothing is done on a guess at
// what it was meant to be.
func emptyName(where string) error {
	return fault.Invalid("is a variable not set?", "%sempty name", where)
}

// checkEmpty refuses empty names among a command's options and arguments. Those of run and cp are
// not all names; they look at theirs.
func checkEmpty(cmd *cobra.Command, args []string) error {
	for c := cmd; c != nil; c = c.Parent() {
		for _, option := range []string{"source", "name", "key"} {
			if f := c.Flags().Lookup(option); f != nil && f.Changed && f.Value.String() == "" {
				return emptyName("--" + option + ": ")
			}
		}
	}
	switch cmd.Name() {
	case "run", "cp", "acquire", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
		return nil
	}
	if slices.Contains(args, "") {
		return emptyName("")
	}
	return nil
}
