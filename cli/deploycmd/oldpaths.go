package deploycmd

import (
	"os"
	"path/filepath"
	"slices"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/deploy/oldconfig"
	"github.com/hostler-project/hostler/host"
)

// oldPaths reads the configuration directories of -c and provision's own ones. A Python package is
// read as provision's, as far as it is literal. Another directory is a further root of the
// configuration. Later directories override earlier ones.
func oldPaths(a *cli.App, paths []string) error {
	home, err := host.Home()
	if err != nil {
		return err
	}
	here, err := os.Getwd()
	if err != nil {
		return fault.Invalid("", "the current directory: %v", err)
	}
	isDir := func(dir string) bool {
		info, err := os.Stat(dir)
		return err == nil && info.IsDir()
	}
	var dirs []string
	if local := os.Getenv("PROVISION_LOCAL"); local != "" {
		dirs = append(dirs, local)
	} else {
		dirs = append(dirs, filepath.Join(home, ".provision", "secrets"))
	}
	if env := os.Getenv("VIRTUAL_ENV"); env != "" {
		for _, name := range []string{"provision_secrets", "provision-secrets"} {
			if dir := filepath.Join(env, name); isDir(dir) {
				dirs = append(dirs, dir, filepath.Join(dir, "common"))
				break
			}
		}
	}
	dirs = slices.DeleteFunc(dirs, func(dir string) bool { return !isDir(dir) })
	for _, p := range paths {
		dir := deploy.ConfigPath(p, home, here)
		if !isDir(dir) {
			_ = term.Printf(a.Err, "%s: -c %s: it is not a directory, and does not count\n", a.Program, p)
			continue
		}
		dirs = append(dirs, dir)
	}
	old := &oldconfig.Config{}
	for _, dir := range dirs {
		_, conf := os.Stat(filepath.Join(dir, "hostler.conf"))
		if conf == nil || isDir(filepath.Join(dir, "bundles")) || isDir(filepath.Join(dir, "sources")) {
			a.Host.Dirs = slices.Insert(a.Host.Dirs, 0, dir)
			continue
		}
		if err := old.Read(dir); err != nil {
			return err
		}
	}
	if old.Dir != "" {
		a.Old = old
		conv := old.Convert()
		a.Converted = &conv
		a.Host.Overlay = func(cfg *config.Config) { overlay(a, cfg) }
		TellOld(a, old, conv)
		if conv.Secret != "" {
			return os.Setenv(envSecretKey, conv.Secret)
		}
	}
	return nil
}
