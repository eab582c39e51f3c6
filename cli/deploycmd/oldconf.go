package deploycmd

import (
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/bundle"
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

// overlay lets an old configuration override hostler.conf.
func overlay(a *cli.App, cfg *config.Config) {
	c := a.Converted
	if c == nil {
		return
	}
	for name, values := range map[string]map[string]string{
		"deploy": c.Deploy, "deploy.images": c.Images, "deploy.image-bundles": c.ImageBundles,
	} {
		section := cfg.Sections[name]
		if section == nil {
			section = map[string]config.Value{}
			cfg.Sections[name] = section
		}
		for key, text := range values {
			section[strings.ReplaceAll(key, "-", "_")] = config.Value{Key: key, Text: text, File: filepath.Join(a.Old.Dir, "__init__.py")}
		}
	}
}

// oldBundles are those of an old configuration.
func oldBundles(a *cli.App, set bundle.Set) {
	if a.Old == nil {
		return
	}
	for _, b := range a.Old.Bundles {
		keys, content := b.Layout()
		file := filepath.Join(a.Old.Dir, "__init__.py")
		var entries []bundle.Entry
		for _, k := range keys {
			entries = append(entries, bundle.Entry{Section: k.Section, Key: k.Key, Text: k.Text, File: file})
		}
		set[b.Name] = bundle.Parse(b.Name, file, entries, content)
	}
}

// oldVars are the variables of an old configuration.
func oldVars(a *cli.App) (out []bundle.Var) {
	if a.Converted == nil {
		return nil
	}
	for key, value := range a.Converted.Vars {
		out = append(out, bundle.Var{Name: key, Value: value, Literal: !a.Converted.Referred[key], Standing: true})
	}
	return out
}

// oldKeys returns the public keys for every node.
func oldKeys(a *cli.App) ([]string, error) {
	if a.Old == nil {
		return nil, nil
	}
	out := slices.Clone(a.Converted.Keys)
	for _, file := range a.Old.Keys {
		keys, err := keysOf(file)
		if err != nil {
			return nil, fault.Invalid("", "%s: %v", file, err)
		}
		out = append(out, keys...)
	}
	return out, nil
}

// TellOld warns of what could not be taken over from an old configuration.
func TellOld(a *cli.App, c *oldconfig.Config, conv oldconfig.Converted) {
	for _, u := range c.Unread {
		_ = term.Printf(a.Err, "%s: %s\n", a.Program, term.Line(u.String()))
	}
	for _, text := range conv.Odd {
		_ = term.Printf(a.Err, "%s: %s: %s\n", a.Program, c.Dir, term.Line(text))
	}
}
