package cli

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/slapos/cfg"
)

// EmptyName is the error for an empty name. That is mostly a variable that is not set, and guessing
// its meaning could do harm.
func EmptyName(where string) error {
	return fault.Invalid("is a variable not set?", "%sempty name", where)
}

// CheckEmpty refuses empty names among a command's options and arguments. run and cp check theirs
// themselves, as they take more than names.
func CheckEmpty(cmd *cobra.Command, args []string) error {
	for c := cmd; c != nil; c = c.Parent() {
		for _, option := range []string{"source", "name", "key"} {
			if f := c.Flags().Lookup(option); f != nil && f.Changed && f.Value.String() == "" {
				return EmptyName("--" + option + ": ")
			}
		}
	}
	switch cmd.Name() {
	case "run", "cp", "acquire", cobra.ShellCompRequestCmd, cobra.ShellCompNoDescRequestCmd:
		return nil
	}
	if slices.Contains(args, "") {
		return EmptyName("")
	}
	return nil
}

// SourceName returns the source to use if none is named: that of -s, of hostler.conf, or the
// default.
func (a *App) SourceName() (string, error) {
	if a.Flags.Source != "" {
		return a.Flags.Source, nil
	}
	cfg, err := a.Host.Configuration()
	if err != nil {
		return "", err
	}
	if cfg.Defaults.Err != nil {
		return "", host.ConfigError(cfg.Defaults.Err)
	}
	return cmp.Or(cfg.Defaults.Source, DefaultSource(a.Host.Kinds)), nil
}

// SlaposName is the name of SlapOS's program.
const SlaposName = "slapos"

// AsCalled rewrites the commands in a hint to the name by which this program was called, such as
// slapos or a stand-alone's script. A stand-alone starts its own services, so hints to do so change
// too.
func AsCalled(program, hint string) string {
	const own = "hostler " + SlaposName + " "
	if !strings.Contains(hint, own) {
		return hint
	}
	dir := ofStandalone(os.Getenv("SLAPOS_CONFIGURATION"))
	if dir != "" && strings.Contains(hint, own+"node supervisord") {
		return strings.ReplaceAll(hint, own+"node supervisord", own+"standalone "+dir)
	}
	if dir == "" && program != SlaposName {
		return hint
	}
	return strings.ReplaceAll(hint, own, SlaposName+" ")
}

// ofStandalone returns the stand-alone directory that a configuration file belongs to; "" if there
// is none.
func ofStandalone(file string) string {
	dir, ok := strings.CutSuffix(file, "/"+cfg.StandaloneFile)
	if !ok || !filepath.IsAbs(dir) {
		return ""
	}
	if st, err := os.Lstat(filepath.Join(dir, cfg.StandaloneScript)); err != nil || !st.Mode().IsRegular() {
		return ""
	}
	return dir
}

func (a *App) Configured(name string) (*config.Source, error) {
	cfg, err := a.Host.Configuration()
	if err != nil {
		return nil, err
	}
	s, err := cfg.Source(name)
	if err != nil {
		names := make([]string, len(cfg.Sources))
		for i, s := range cfg.Sources {
			names[i] = s.Name
		}
		return nil, UnknownSource(name, names)
	}
	return s, nil
}

// DefaultSource is the source to use if none is configured: the last of the built-in ones, which
// isolates where the system can.
func DefaultSource(kinds provider.Table) string {
	names := kinds.Names(func(k *provider.Kind) bool { return k.Implicit() })
	return names[len(names)-1]
}

func UnknownSource(name string, known []string) error {
	hint := term.DidYouMean(name, known, "")
	if hint == "" {
		hint = "hostler source list"
	}
	return &compute.Error{ID: compute.ID(name), Kind: compute.ErrNotFound, Err: fmt.Errorf("no such source"), Hint: hint}
}
