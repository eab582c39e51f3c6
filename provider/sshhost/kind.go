package sshhost

import (
	"slices"
	"strings"

	"github.com/hostler-project/hostler/provider/catalog"
)

// Kind is existing hosts that are reached by ssh.
var Kind = catalog.New(catalog.Kind{
	Name:    "ssh",
	Traits:  catalog.Traits{Dear: true, SSH: true, NoRebuild: "as-is"},
	TopKeys: []string{"ssh_host", "hosts"},
	Tree:    catalog.Waits("sends commands and what they are given to another host, with your keys", "*"),
	Suspect: func(key, value string) string {
		option := func(host string) bool { return strings.HasPrefix(host, "-") }
		if (key == "ssh_host" || key == "hosts") && slices.ContainsFunc(split(value), option) {
			return "looks like an option of ssh"
		}
		return ""
	},
	Needs: func(settings map[string]string) (key, what string) {
		if len(named(settings)) > 0 {
			return "", ""
		}
		return "hosts", "is required: one host, or several with commas between"
	},
	Others:  catalog.Everybody,
	LeadsTo: func(settings map[string]string) string { return strings.Join(named(settings), ", ") + " by ssh" },
}, open, takeSite)

// takeSite puts the site into the options.
func takeSite(o *Options, s catalog.Site) {
	o.Source, o.Installation, o.Dir = s.Source, s.Installation, s.Dir
	o.Agent = s.Agent
}

// named returns the hosts that the settings name.
func named(settings map[string]string) []string {
	return append(split(settings["ssh_host"]), split(settings["hosts"])...)
}

// split splits a list at commas and newlines.
func split(text string) (out []string) {
	for _, one := range strings.FieldsFunc(text, func(c rune) bool { return c == ',' || c == '\n' }) {
		if one = strings.TrimSpace(one); one != "" {
			out = append(out, one)
		}
	}
	return out
}
