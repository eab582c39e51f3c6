package host

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/host/hook"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/text/visible"
)

// LogsKept is how long the output of hooks is kept after an instance's last hook.
const LogsKept = 30 * 24 * time.Hour

// hooks returns the function that runs a source's hooks for the engine. Output goes to the
// instance's log.
func (h *Host) hooks(state string) func(context.Context, pool.HookCall) error {
	return func(ctx context.Context, c pool.HookCall) error {
		def, err := readDefinition(c.Source, c.Definition)
		if err == nil && len(def.Bundles) > 0 && (c.Event == "provision" || c.Event == "bundles") {
			err = h.setUp(ctx, c, def, state)
		}
		if err != nil || def.Hooks[c.Event] == "" {
			return err
		}
		if err := h.trusts(def.Tree, def.Hooks[c.Event]); err != nil {
			return err
		}
		dir := filepath.Join(state, "instances", c.Source, "log")
		log, err := openHookLog(dir, string(c.Instance.ID))
		if err != nil {
			return err
		}
		defer log.Close()
		err = hook.Run(ctx, hook.Call{
			Dir: def.Hooks[c.Event], Event: c.Event, Instance: c.Instance.ID, Env: h.hookEnv(ctx, c, def, state),
			StopAtFirst: c.Event != "discard",
			Timeout:     def.HookTimeout, Resume: c.Resume,
			Record: filepath.Join(dir, string(c.Instance.ID)+"."+c.Event+".done"), Done: c.Done, Output: log,
		})
		if err != nil {
			return fmt.Errorf("%w; its output is in %s", err, log.Name())
		}
		return nil
	}
}

// trusts returns an error unless the user has approved the hooks of a tree's source as they are.
// The tree may not be the current one.
func (h *Host) trusts(tree, hooks string) error {
	if tree == "" {
		return nil
	}
	if found, _, err := hook.List(hooks); err == nil && len(found) == 0 {
		return nil // nothing runs
	}
	opt := config.LoadOptions{Dir: filepath.Dir(tree), Compat: h.Former == "crcache", Lenient: h.Compat, Kinds: h.Kinds}
	state, err := StateDir()
	if err != nil {
		return err
	}
	opt.Trust.Dir = filepath.Join(state, "trust")
	cfg, err := config.Load(opt)
	if cfg == nil {
		return ConfigError(err)
	}
	source := filepath.Base(filepath.Dir(hooks))
	for _, d := range cfg.NeedsTrust() {
		if d.Root != tree {
			continue
		}
		for _, it := range d.Items {
			if it.Source == source && it.State == config.ItemApproved {
				return nil
			}
		}
	}
	return &compute.Error{ID: compute.ID(tree), Kind: compute.ErrDenied, Err: config.ErrUntrusted,
		Hint: "look at its hooks, then: cd " + filepath.Dir(tree) + " && hostler trust approve"}
}

// SkippedHooks says why files that look like hooks are not run.
func SkippedHooks(s *config.Source) (lines []string) {
	for _, event := range config.Events {
		dir := s.Hooks[event]
		if dir == "" {
			continue
		}
		_, skipped, err := hook.List(dir)
		if err != nil {
			lines = append(lines, fmt.Sprintf("source %s: %s.d: %s", s.Name, event, api.Text(err)))
		}
		for _, f := range skipped {
			if f.Warn || !hook.ValidName(f.Name) && !leftBehind(f.Name) {
				lines = append(
					lines,
					fmt.Sprintf("source %s: %s/%s is not run: %s", s.Name, filepath.Base(dir), visible.Line(f.Name), f.Why),
				)
			}
		}
	}
	return lines
}

// leftBehind reports whether a file is a leftover of an editor or package, which nobody takes for a
// hook.
func leftBehind(name string) bool {
	return strings.HasPrefix(name, ".") || strings.HasSuffix(name, "~") || strings.Contains(name, ".dpkg-") ||
		strings.Contains(name, ".rpm")
}

// hookEnv returns the variables of a hook, besides the process's own.
func (h *Host) hookEnv(ctx context.Context, c pool.HookCall, def definition, state string) map[string]string {
	env := map[string]string{
		"HOSTLER_SOURCE": c.Source, "HOSTLER_PROVIDER_ID": c.Instance.ProviderID, "HOSTLER_ADDRESS": c.Instance.Address,
		"HOSTLER_LEASE": c.Lease, "HOSTLER_SSH_CONFIG": h.hookSSH(ctx, c, def, state),
	}
	if h.ConfigDir != "" {
		if dir, err := filepath.Abs(h.ConfigDir); err == nil {
			env["HOSTLER_CONFIG"] = dir
		}
	}
	// A hook calls hostler by its name. If that is not in PATH, the running program's directory is
	// added.
	if self, err := os.Executable(); err == nil {
		path := os.Getenv("PATH")
		if !strings.Contains(
			string(os.PathListSeparator)+path+string(os.PathListSeparator),
			string(os.PathListSeparator)+filepath.Dir(self)+string(os.PathListSeparator),
		) {
			env["PATH"] = path + string(os.PathListSeparator) + filepath.Dir(self)
		}
	}
	return env
}

// openHookLog opens an instance's log for appending, and removes old logs of others.
func openHookLog(dir, instance string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > LogsKept {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
	return os.OpenFile(filepath.Join(dir, instance+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
}
