package cli

import (
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute/inventory"
)

// Candidates come from the configuration and the state as they are. Completion changes nothing and
// reports no errors, since it runs at a shell's prompt.

type Candidates = []cobra.Completion

func (a *App) CompleteSources(cmd *cobra.Command, _ []string, _ string) (Candidates, cobra.ShellCompDirective) {
	if a.Begin(cmd) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return sourceCandidates(a), cobra.ShellCompDirectiveNoFileComp
}

// sourceCandidates returns the configured sources.
func sourceCandidates(a *App) (out Candidates) {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return nil
	}
	for _, s := range cfg.Sources {
		out = append(out, cobra.CompletionWithDesc(s.Name, "source, "+s.Type))
	}
	return out
}

// CompleteLeased offers the caller's instances and leases by name.
func (a *App) CompleteLeased(cmd *cobra.Command, _ []string, _ string) (Candidates, cobra.ShellCompDirective) {
	_ = a.Begin(cmd)
	return a.LeasedCandidates(cmd), cobra.ShellCompDirectiveNoFileComp
}

// LeasedCandidates returns the names of what the caller has leased.
func (a *App) LeasedCandidates(cmd *cobra.Command) (out Candidates) {
	engine, err := a.Engine(cmd.Context())
	if err != nil {
		return nil
	}
	leases, err := engine.Leases(cmd.Context(), inventory.LeaseQuery{Owner: a.Owner()})
	if err != nil {
		return nil
	}
	for _, l := range leases {
		out = append(out, cobra.CompletionWithDesc(l.Handle(), "leased"))
		if l.Name != "" && l.Share == nil {
			out = append(out, cobra.CompletionWithDesc(l.Name, "lease of "+string(l.Instance)))
		}
	}
	slices.Sort(out)
	return out
}

// CompleteInstances offers all instances.
func (a *App) CompleteInstances(cmd *cobra.Command, _ []string, _ string) (out Candidates, _ cobra.ShellCompDirective) {
	_ = a.Begin(cmd)
	if engine, err := a.Engine(cmd.Context()); err == nil {
		all, _ := engine.Instances(cmd.Context(), inventory.InstanceQuery{})
		for _, i := range all {
			out = append(out, cobra.CompletionWithDesc(string(i.ID), string(i.State)))
		}
	}
	slices.Sort(out)
	return out, cobra.ShellCompDirectiveNoFileComp
}

// CompleteTargets offers candidates for run's NAME. The words after it belong to the command.
func (a *App) CompleteTargets(cmd *cobra.Command, args []string, _ string) (Candidates, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	_ = a.Begin(cmd)
	return append(a.LeasedCandidates(cmd), sourceCandidates(a)...), cobra.ShellCompDirectiveNoFileComp
}
