package deployment

import (
	"slices"
	"strings"
)

// The marks of everything of ours: in metadata of servers and volumes, in tags KEY=VALUE at the
// network service, and in descriptions. A thing can get tags only after it was made.
const (
	keyInstallation = "hostler:installation"
	keyDeployment   = "hostler:deployment"
)

// mark is what all things of one deployment carry.
type mark struct{ installation, deployment string }

func (m mark) tags() []string {
	return []string{keyInstallation + "=" + m.installation, keyDeployment + "=" + m.deployment}
}

// text returns the description for a new thing.
func (m mark) text() string { return strings.Join(m.tags(), " ") }

// markIn reads a mark from tags or from the words KEY=VALUE of a description. A value may have
// spaces.
func markIn(words []string) (m mark) {
	for _, w := range words {
		key, value, _ := strings.Cut(strings.TrimSpace(w), "=")
		switch strings.TrimPrefix(key, "hostler:") {
		case "installation":
			m.installation = value
		case "deployment":
			m.deployment = value
		}
	}
	return m
}

// described reads a mark from a description.
func described(description string) mark {
	if !strings.HasPrefix(description, "hostler:") {
		return mark{}
	}
	return markIn(strings.Split(description, " hostler:"))
}

// on reports whether a thing has the mark, and if not, whether another installation made it.
func (m mark) on(description string, tags []string) (ours, others bool) {
	tagged := markIn(slices.DeleteFunc(slices.Clone(tags), func(t string) bool { return !strings.HasPrefix(t, "hostler:") }))
	said := described(description)
	if tagged == m || said == m {
		return true, false
	}
	return false, tagged.installation != "" || said.installation != ""
}

// onMetadata reads the mark of a server or volume.
func onMetadata(meta map[string]string) mark {
	return mark{meta[keyInstallation], meta[keyDeployment]}
}
