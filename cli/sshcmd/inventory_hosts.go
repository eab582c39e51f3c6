package sshcmd

import (
	"strings"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/shell"
)

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
