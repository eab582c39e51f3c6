package deploycmd

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/deploy/oldconfig"
)

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
