package deployment

import (
	"slices"
	"strings"
)

// The marks that everything of ours carries: as metadata of servers and volumes, as tags KEY=VALUE
// of what the network service has, and in descriptions, as tags can be put on a thing only after it
// was made.
const (
	keyInstallation = "hostler:installation"
	keyDeployment   = "hostler:deployment"
)

// mark is what the things of one deployment carry.
type mark struct{ installation, deployment string }

func (m mark) tags() []string {
	return []string{keyInstallation + "=" + m.installation, keyDeployment + "=" + m.deployment}
}

// text is the description that a thing is made with.
func (m mark) text() string { return strings.Join(m.tags(), " ") }

// markIn reads the words KEY=VALUE of a description, or tags. A value may have spaces.
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

// described reads a description.
func described(description string) mark {
	if !strings.HasPrefix(description, "hostler:") {
		return mark{}
	}
	return markIn(strings.Split(description, " hostler:"))
}

// on reports whether a thing carries the mark, and if not, whether another hostler made it.
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
