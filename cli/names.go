package cli

import (
	"context"
	"errors"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/compute/inventory"
)

// EmptyName is the error for an empty name. That is mostly a variable that is not set, and guessing
// its meaning could do harm.
func EmptyName(where string) error {
	return fault.Invalid("is a variable not set?", "%sempty name", where)
}

// CheckEmpty refuses empty names among a command's options and arguments. run and cp check theirs
// themselves, as they take more than names.
func CheckEmpty(cmd *cobra.Command, args []string) error {
	for c := cmd; c != nil; c = c.Parent() {
		for _, option := range []string{"source", "name", "key"} {
			if f := c.Flags().Lookup(option); f != nil && f.Changed && f.Value.String() == "" {
				return EmptyName("--" + option + ": ")
			}
		}
	}
	switch cmd.Name() {
	case "run", "cp", "acquire", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
		return nil
	}
	if slices.Contains(args, "") {
		return EmptyName("")
	}
	return nil
}

// UnknownName is the error for a NAME that is no instance, lease or source.
func (a *App) UnknownName(ctx context.Context, name string) error {
	var names []string
	for _, s := range a.Sources(ctx) {
		names = append(names, s.Name)
	}
	if engine, err := a.Engine(ctx); err == nil {
		if all, err := engine.Instances(ctx, inventory.InstanceQuery{}); err == nil {
			for _, i := range all {
				names = append(names, string(i.ID))
			}
		}
		if all, err := engine.Leases(ctx, inventory.LeaseQuery{}); err == nil {
			for _, l := range all {
				names = append(names, l.Name)
			}
		}
	}
	if err := a.Unread(name, compute.ErrNotFound); errors.As(err, new(*compute.Error)) {
		return err
	}
	hint := term.DidYouMean(name, names, "")
	if hint == "" {
		hint = "hostler status -v shows all; a command goes after NAME or --"
	}
	return &compute.Error{
		ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no instance, lease or source of this name"),
		Hint: hint,
	}
}
