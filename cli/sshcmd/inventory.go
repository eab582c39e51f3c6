package sshcmd

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
)

func NewInventory(a *cli.App) *cobra.Command {
	var list, all bool
	var host string
	cmd := &cobra.Command{
		Use:   "inventory",
		Short: "Print the instances that you have leased as a dynamic inventory of Ansible",
		Long: `Print what you have leased as Ansible wants it of an inventory that is a program: JSON, with --list of all, with --host of one. Each source is a group, source_NAME, and
so is each label of the leases, label_KEY_VALUE, with other letters as _. Ansible reaches them by ssh through hostler, whether or not they have an ssh server; they
need Python, as Ansible does. A lease's name is the host's name, else the instance's is.`,
		Example: "  hostler inventory --list\n  printf '#!/bin/sh\\nexec hostler inventory \"$@\"\\n' >inv && chmod +x inv && ansible -i inv all -m ping",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return printInventory(a, cmd.Context(), host, cmd.Flags().Changed("host"), all)
		},
	}
	cmd.Flags().BoolVar(&list, "list", false, "print all groups and hosts; this is so if nothing is said")
	cmd.Flags().StringVar(&host, "host", "", "print the variables of the host `NAME`")
	cmd.Flags().BoolVar(&all, "all", false, "all instances that are leased, whoever has them; for administrators")
	cmd.MarkFlagsMutuallyExclusive("list", "host")
	_ = cmd.RegisterFlagCompletionFunc("host", a.CompleteLeased)
	return cmd
}

// group is one of Ansible's.
type group struct {
	Hosts    []string `json:"hosts,omitempty"`
	Children []string `json:"children,omitempty"`
}

// printInventory prints all hosts and groups, or the variables of one host.
func printInventory(a *cli.App, ctx context.Context, host string, one, all bool) error {
	w, leases, err := wayTo(a, ctx, nil, all)
	if err != nil {
		return err
	}
	vars := map[string]map[string]any{}
	groups := map[string][]string{}
	for _, l := range leases {
		name := hostName(l)
		vars[name] = hostVars(w, l)
		add := func(group string) { groups[group] = append(groups[group], name) }
		add("source_" + identifier(l.Source))
		for key, value := range vars[name]["hostler_labels"].(map[string]string) {
			add("label_" + identifier(key+"_"+value))
		}
	}
	if one {
		v, ok := vars[host]
		if !ok {
			i := slices.IndexFunc(leases, func(l compute.Lease) bool { return string(l.Instance) == host })
			if i < 0 {
				return &compute.Error{
					ID: compute.ID(host), Kind: compute.ErrNotFound, Err: errors.New("you have no lease on it"),
					Hint: "hostler inventory --list",
				}
			}
			v = hostVars(w, leases[i])
		}
		return a.PrintJSON(v)
	}
	out := map[string]any{
		"_meta": map[string]any{"hostvars": vars},
		"all":   group{Children: append([]string{"ungrouped"}, slices.Sorted(maps.Keys(groups))...)},
	}
	for name, hosts := range groups {
		slices.Sort(hosts)
		out[name] = group{Hosts: slices.Compact(hosts)}
	}
	return a.PrintJSON(out)
}
