package openstack

import (
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// The keys of a mark, in metadata, tags and descriptions.
const (
	KeyInstallation = "hostler:installation"
	KeyDeployment   = "hostler:deployment"
	KeySource       = "hostler:source"
	KeyInstance     = "hostler:instance"
	KeyHostKey      = "hostler:host-key" // of a server: its ssh host key, as known_hosts has it
)

// Mark says whose a thing is that we made. It goes with the request that makes it: as metadata
// where there is such a thing, else in the description. Empty fields are left out.
type Mark struct {
	Installation string
	Deployment   string
	Source       string
	Instance     compute.ID
}

func (m Mark) pairs() [][2]string {
	var out [][2]string
	for _, p := range [][2]string{
		{KeyInstallation, m.Installation}, {KeyDeployment, m.Deployment}, {KeySource, m.Source},
		{KeyInstance, string(m.Instance)},
	} {
		if p[1] != "" {
			out = append(out, p)
		}
	}
	return out
}

// Metadata is the mark of a server, a volume or an image.
func (m Mark) Metadata() map[string]string {
	out := map[string]string{}
	for _, p := range m.pairs() {
		out[p[0]] = p[1]
	}
	return out
}

// Description is the mark of a port, a floating IP and whatever else has no metadata:
// "hostler:installation=… hostler:source=…".
func (m Mark) Description() string {
	var out []string
	for _, p := range m.pairs() {
		out = append(out, p[0]+"="+p[1])
	}
	return strings.Join(out, " ")
}

// MarkOf reads a mark from metadata. Without an installation it is none of ours.
func MarkOf(metadata map[string]string) (m Mark, ok bool) {
	m = Mark{metadata[KeyInstallation], metadata[KeyDeployment], metadata[KeySource], compute.ID(metadata[KeyInstance])}
	return m, m.Installation != ""
}

// MarkIn reads a mark from a description.
func MarkIn(description string) (Mark, bool) {
	kv := map[string]string{}
	for _, word := range strings.Fields(description) {
		if k, v, ok := strings.Cut(word, "="); ok {
			kv[k] = v
		}
	}
	return MarkOf(kv)
}
