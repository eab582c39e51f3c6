package openstack

import (
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// The keys of a mark, in metadata, tags and descriptions.
const (
	keyInstallation = "hostler:installation"
	keyDeployment   = "hostler:deployment"
	keySource       = "hostler:source"
	keyInstance     = "hostler:instance"
	keyHostKey      = "hostler:host-key" // of a server: its ssh host key in the form of known_hosts
)

// Mark says to whom a thing belongs that we made. The request that makes it has the mark already:
// as metadata if possible, else in the description. Empty fields are left out.
type Mark struct {
	Installation string
	Deployment   string
	Source       string
	Instance     compute.ID
}

// pairs returns the keys and values of the mark, without its empty fields.
func (m Mark) pairs() [][2]string {
	var out [][2]string
	for _, p := range [][2]string{
		{keyInstallation, m.Installation}, {keyDeployment, m.Deployment}, {keySource, m.Source},
		{keyInstance, string(m.Instance)},
	} {
		if p[1] != "" {
			out = append(out, p)
		}
	}
	return out
}

// Metadata returns the mark of a server, a volume or an image.
func (m Mark) Metadata() map[string]string {
	out := map[string]string{}
	for _, p := range m.pairs() {
		out[p[0]] = p[1]
	}
	return out
}

// Description returns the mark of a thing without metadata, as a port or a floating IP:
// "hostler:installation=… hostler:source=…".
func (m Mark) Description() string {
	var out []string
	for _, p := range m.pairs() {
		out = append(out, p[0]+"="+p[1])
	}
	return strings.Join(out, " ")
}

// MarkOf reads a mark from metadata. ok is false without an installation: the thing is not ours.
func MarkOf(metadata map[string]string) (m Mark, ok bool) {
	m = Mark{metadata[keyInstallation], metadata[keyDeployment], metadata[keySource], compute.ID(metadata[keyInstance])}
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
