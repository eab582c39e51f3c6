package runcmd

import (
	"fmt"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/provider/catalog"
)

// bindTree mounts the working tree itself where the run is. It returns the name of a source that
// makes such an instance, and the mount point.
func bindTree(a *cli.App, o *runOptions, name, mode string) (source, bound string, err error) {
	tree, err := newTree(a, &o.sync)
	if err != nil {
		return "", "", err
	}
	root, err := filepath.EvalSymlinks(tree.Root)
	if err != nil {
		return "", "", fault.Invalid("", "--bind: %v", err)
	}
	source, err = bindSource(a, o, name, mode, root)
	return source, filepath.Join(root, tree.Sub), err
}

// bindSource adds a source to the configuration that shows the tree at root.
func bindSource(a *cli.App, o *runOptions, name, mode, root string) (_ string, err error) {
	source := name
	if source == "" {
		if source, err = a.SourceName(); err != nil {
			return "", err
		}
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return "", err
	}
	refuse := func(why, hint string) (string, error) {
		return "", &compute.Error{ID: compute.ID(source), Kind: compute.ErrInvalid, Err: fmt.Errorf("--bind: %s", why), Hint: hint}
	}
	s, err := cfg.Source(source)
	if err != nil {
		if name == "" {
			return "", host.ConfigError(err)
		}
		return refuse(
			"no source of this machine has this name, and what stands there already cannot be shown the tree",
			"name the source that it is to be made by; --sync without --bind sends a copy",
		)
	}
	if s.Err != nil {
		return "", host.ConfigError(s.Err)
	}
	dir := catalog.Directory{Path: root, ReadOnly: mode == "ro", Writable: o.sync.write}
	switch {
	case s.Kind.Itself && dir.ReadOnly:
		return refuse("commands on this machine itself can write to the tree", "hostler run sandbox --sync --bind=ro")
	case s.Kind.Itself:
		return name, nil
	case s.Kind.Show == nil:
		return refuse(s.Kind.WhyNot(), "--sync without --bind sends a copy")
	}
	if strings.ContainsAny(root, ":,\n\"") {
		return refuse(fmt.Sprintf("%q cannot be mounted: there is a colon, a comma, a quote or a line break in it", root), "")
	}
	own := source + "-bind"
	for n := 2; hasSource(a, own); n++ {
		own = fmt.Sprintf("%s-bind-%d", source, n)
	}
	made := s
	for key, value := range s.Kind.Show(s.Settings, dir) {
		made = made.With(own, key, value)
	}
	cfg.Sources = append(cfg.Sources, made)
	a.Flags.Embedded = true // the tree is local, and so is what is made for it
	return own, nil
}

// hasSource reports whether a source is configured.
func hasSource(a *cli.App, name string) bool {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return false
	}
	_, err = cfg.Source(name)
	return err == nil
}
