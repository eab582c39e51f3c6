package service

import (
	"cmp"
	"context"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/node/software"
	"github.com/hostler-project/hostler/slapos/proto"
)

// Builder returns what builds the node's releases.
func (n *Node) Builder() (*software.Builder, error) { return (&releases{node: n}).builder() }

// releases makes builders.
type releases struct {
	node *Node
	// sends a release to the binary cache in the background; nil: it is sent at once
	later func(url string, send func(ctx context.Context) error)
}

func (r *releases) builder() (*software.Builder, error) {
	n := r.node
	cache, err := r.networkCache()
	if err != nil {
		return nil, err
	}
	where, err := n.fetchRules()
	if err != nil {
		return nil, err
	}
	guard, err := where.guard(n.warn)
	if err != nil {
		return nil, err
	}
	b := &software.Builder{
		Root: n.Settings.SoftwareRoot, SharedParts: n.Settings.SharedParts, BuildTimeParts: n.Settings.BuildTimeParts,
		Buildout: n.Settings.Buildout, NetworkCache: cache, Free: n.Settings.SoftwareFree,
		Log: n.say, Warn: n.warn, Bundles: n.Bundles, Guard: guard,
		Puller: append([]string{"/proc/self/exe", "slapos", "node", "lay-image"}, where.words()...),
	}
	r.useCache(b)
	return b, nil
}

// Software brings the releases of this computer to what the master wants. failed has those that
// could not be; the error concerns all of them.
func (n *Node) Software(ctx context.Context, o SoftwareOptions) (releases []Release, failed []FailedRelease, err error) {
	b, err := n.Builder()
	if err != nil {
		return nil, nil, err
	}
	b.Debug, b.Force = o.Debug, o.Force || n.Settings.Develop
	c, err := n.master.Computer(ctx, n.Settings.Computer)
	if err != nil {
		return nil, nil, err
	}
	all, err := b.Pass(ctx, n.master, c, software.PassOptions{Only: o.Only, Collect: o.Collect})
	releases = []Release{} // a JSON list even where there are none
	texts := map[string]string{}
	for _, f := range all {
		texts[f.URL] = software.Brief(f.Err)
		failed = append(failed, FailedRelease{f.URL, texts[f.URL], f.Err})
	}
	for _, r := range c.Releases {
		releases = append(releases, Release{
			r.URL, cmp.Or(r.State, proto.Available), b.Dir(r.URL), b.Done(r.URL), texts[r.URL],
		})
	}
	return releases, failed, err
}

// Prune removes the shared parts that no release uses, in the node's directory of software or in
// others. With dry, it only returns them.
func (n *Node) Prune(ctx context.Context, others []string, dry bool) ([]string, error) {
	p := &software.Pruner{
		Software: append([]string{n.Settings.SoftwareRoot}, others...), Shared: n.Settings.SharedParts,
		Instance: n.Settings.InstanceRoot, DryRun: dry, Log: n.say,
	}
	return p.Prune(ctx)
}

// LayImage lays an image out as a release in a directory.
func LayImage(ctx context.Context, name, dir string, where FetchRules, refused func(line string)) error {
	guard, err := where.guard(refused)
	if err != nil {
		return err
	}
	return software.LayImage(ctx, name, dir, guard)
}

// networkCache is what buildout is told of the caches that the file's section [networkcache] names,
// as OPTION=VALUE.
func (r *releases) networkCache() (out []string, err error) {
	for _, key := range []string{
		"signature-private-key-file", "upload-cache-url", "upload-dir-url", "shacache-ca-file", "shacache-cert-file",
		"shacache-key-file", "shadir-ca-file", "shadir-cert-file", "shadir-key-file",
	} {
		value, err := r.node.File.Text("networkcache", key)
		if err != nil {
			return nil, fault.Invalid("", "%w", err)
		}
		if key == "signature-private-key-file" && r.node.SignatureKey != "" {
			value = r.node.SignatureKey
		}
		if value = strings.TrimSpace(value); value != "" {
			out = append(out, key+"="+value)
		}
	}
	return out, nil
}
