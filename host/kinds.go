package host

import (
	"context"
	"path/filepath"

	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/chroot"
	"github.com/hostler-project/hostler/provider/container"
	"github.com/hostler-project/hostler/provider/exec"
	"github.com/hostler-project/hostler/provider/fake"
	"github.com/hostler-project/hostler/provider/local"
	"github.com/hostler-project/hostler/provider/sandbox"
	"github.com/hostler-project/hostler/provider/sshhost"
	"github.com/hostler-project/hostler/provider/vm"
)

// Kinds are the kinds of sources that link little: those of this machine and what it reaches by
// ssh. host/clouds has the others.
func Kinds() provider.Table {
	return provider.Table{
		local.Kind, sandbox.Kind, container.Kind, vm.Kind, chroot.Kind, sshhost.Kind, fake.Kind, pool.Kind, exec.Kind,
	}
}

// site is where a source's provider is and what it gets beside its keys.
func (h *Host) site(state, name, typ string) provider.Site {
	s := UserSite()
	s.Source, s.Type, s.Installation, s.Dir = name, typ, h.store.Installation(), ComputersDir(state, name)
	s.Keys, s.View, s.Secret = filepath.Join(state, "keys"), h.store.View, secret
	return s
}

// UserSite is a site of no source: what all sources of this user have.
func UserSite() provider.Site {
	return provider.Site{Agent: FindAgent, Images: imagesDir(), Dirs: userDirs()}
}

// ComputersDir is the directory in which a source's provider keeps its instances.
func ComputersDir(state, source string) string {
	return filepath.Join(state, "instances", source, "computers")
}

// secret resolves a reference to a secret, at the last moment.
func secret(ctx context.Context, text string) (string, bool, error) {
	if !config.IsReference(text) {
		return text, false, nil
	}
	text, err := config.Secret(ctx, text)
	return text, true, err
}
