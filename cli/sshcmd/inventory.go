package sshcmd

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/shell"
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
			return inventory(a, cmd.Context(), host, cmd.Flags().Changed("host"), all)
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

func inventory(a *cli.App, ctx context.Context, host string, one, all bool) error {
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

// hostName returns Ansible's name for a lease's instance.
func hostName(l compute.Lease) string {
	if names := hostNames(l); len(names) > 0 {
		return names[len(names)-1] // the lease's, if it has one that can be a host's
	}
	return string(l.Instance)
}

// hostVars returns the variables of a host.
func hostVars(w *way, l compute.Lease) map[string]any {
	var args []string
	for _, o := range w.options(string(l.Instance)) {
		if o[0] != "User" {
			args = append(args, "-o", o[0]+"="+o[1])
		}
	}
	labels := map[string]string{}
	for key, value := range api.NewLease(l).Labels {
		// Ansible would run a template, and with --all it may be another user's
		if !isTemplate(key) && !isTemplate(value) {
			labels[key] = value
		}
	}
	return map[string]any{
		"ansible_connection": "ssh", "ansible_host": string(l.Instance), "ansible_user": sshUser,
		"ansible_ssh_common_args": unjinja(shell.Quote(args)),
		"hostler_instance":        string(l.Instance), "hostler_source": l.Source, "hostler_lease": l.Name, "hostler_labels": labels,
	}
}

// unjinja escapes a text that Ansible would take for a template.
func unjinja(s string) string {
	if !isTemplate(s) {
		return s
	}
	return "{% raw %}" + s + "{% endraw %}"
}

func isTemplate(s string) bool {
	return strings.Contains(s, "{{") || strings.Contains(s, "{%") || strings.Contains(s, "{#")
}

// identifier converts a text to a group name of Ansible.
func identifier(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' {
			return c
		}
		return '_'
	}, s)
}
