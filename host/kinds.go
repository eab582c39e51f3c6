package host

import (
	"context"
	"path/filepath"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider/catalog"

	"github.com/hostler-project/hostler/provider/chroot"
	"github.com/hostler-project/hostler/provider/container"
	"github.com/hostler-project/hostler/provider/exec"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/provider/local"
	"github.com/hostler-project/hostler/provider/sandbox"
	"github.com/hostler-project/hostler/provider/sshhost"
	"github.com/hostler-project/hostler/provider/vm"
)

// Kinds returns the kinds of sources that link few libraries: this machine's, and ssh. host/clouds
// has the others.
func Kinds() catalog.Table {
	return catalog.Table{
		local.Kind, chroot.Kind, sandbox.Kind, container.Kind, vm.Kind, sshhost.Kind, fake.Kind, pool.Kind, exec.Kind,
	}
}

// site returns where a source's provider works, and what it gets besides its keys.
func (h *Host) site(state, name, typ string) catalog.Site {
	s := UserSite()
	s.Source, s.Type, s.Installation, s.Dir = name, typ, h.store.Installation(), ComputersDir(state, name)
	s.Keys, s.Note, s.Secret, s.Registry = filepath.Join(state, "keys"), h.note, secret, h.Registry
	return s
}

// UserSite returns the part of a site that all sources of this user share.
func UserSite() catalog.Site {
	return catalog.Site{Agent: FindAgent, Images: imagesDir(), Dirs: userDirs()}
}

// ComputersDir returns the directory of a source's instances.
func ComputersDir(state, source string) string {
	return filepath.Join(state, "instances", source, "computers")
}

// secret resolves a reference to a secret just before use. It returns false for any other text.
func secret(ctx context.Context, text string) (string, bool, error) {
	if !config.IsReference(text) {
		return text, false, nil
	}
	text, err := config.Secret(ctx, text)
	return text, true, err
}
