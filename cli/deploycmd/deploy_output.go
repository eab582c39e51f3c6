package deploycmd

import (
	"bufio"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/run/redact"
)

// shown prints the progress of nodes and logs their scripts' output.
type shown struct {
	app    *cli.App
	prefix bool   // lines begin with the node's name
	dir    string // of logs
	mask   func(string) string

	mu   sync.Mutex
	logs map[string]*os.File
}

// open prepares to show.
func (d *deploying) open() (*shown, error) {
	s := &shown{app: d.app, prefix: len(d.names) > 1, dir: d.opt.logs, logs: map[string]*os.File{}, mask: d.masked()}
	if s.dir == "" {
		state, err := host.StateDir()
		if err != nil {
			return nil, err
		}
		s.dir = filepath.Join(state, "deploy")
		prune(s.dir)
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, fault.Invalid("--logs DIR names another directory", "what scripts print cannot be kept: %v", err)
	}
	return s, nil
}

// prune removes old logs.
func prune(dir string) {
	_ = filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || !strings.HasSuffix(path, ".log") {
			return nil //nolint:nilerr // what cannot be looked at stays
		}
		if info, err := e.Info(); err == nil && time.Since(info.ModTime()) > host.LogsKept {
			_ = os.Remove(path)
		}
		return nil
	})
}

// masked returns a function that masks all secrets that were looked up.
func (d *deploying) masked() func(string) string {
	secrets := slices.Collect(maps.Values(d.looked))
	return func(text string) string { return redact.String(text, secrets) }
}

func (s *shown) logFile(name string) string { return filepath.Join(s.dir, name+".log") }

// tell prints a node's new state.
func (s *shown) tell(n *deploy.Node) {
	say := func(format string, args ...any) { s.say(n, format, args...) }
	switch n.State {
	case deploy.Making:
		if term.IsTerminal(s.app.Err) {
			say("making %s", n.Instance.ID)
		}
	case deploy.SettingUp:
		say("is %s", n.Instance.ID)
	case deploy.Done:
		say("ready after %s", n.Ended.Sub(n.Began).Round(time.Millisecond))
	case deploy.Failed:
		say("failed")
	case deploy.Destroyed:
		say("destroyed")
	}
}

// say writes a line about a node.
func (s *shown) say(n *deploy.Node, format string, args ...any) {
	if s.app.Quiet || s.app.JSON {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = term.Printf(s.app.Err, "%s: %s\n", n.Name, fmt.Sprintf(format, args...))
}

// writer returns where a node's scripts print: standard error and the node's log, line by line.
func (s *shown) writer(n *deploy.Node) (*nodeWriter, error) {
	f, err := os.OpenFile(s.logFile(n.Name), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, &compute.Error{
			Kind: compute.ErrFailed, Err: fmt.Errorf("what scripts print cannot be kept: %w", err),
			Hint: "--logs DIR names another directory",
		}
	}
	w := &nodeWriter{show: s, log: bufio.NewWriter(f), file: f}
	if s.prefix {
		w.prefix = n.Name + " | "
	}
	w.quiet = s.app.Quiet || s.app.JSON
	return w, nil
}
