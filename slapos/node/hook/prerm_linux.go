package hook

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/node/supervise"
)

const (
	prermDir = "etc/prerm"
	// names of programs, a line each: destruction waits for them
	waitFile = ".slapos-report-wait-service-list"
)

// last runs an instance's last program, once, when its retention is over. Its destruction waits for
// that.
func (h *Hooks) last(ctx context.Context, p *partition) error {
	if h.o.Retention != nil {
		if until, err := h.o.Retention(p.home); err != nil || until.After(time.Now()) {
			return err
		}
	}
	name := p.ID + "-prerm"
	waiting, err := p.home.Read(waitFile, maxAsk)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if slices.ContainsFunc(strings.Split(string(waiting), "\n"), func(line string) bool { return strings.HasPrefix(line, name+":") }) {
		return nil // they have been started
	}
	files, err := p.home.List(prermDir, maxMany)
	if err != nil {
		return err
	}
	g := supervise.Group{Name: name}
	for _, file := range files {
		path := filepath.Join(prermDir, file)
		// else it would never be destroyed
		if len(file) > 200 || strings.IndexFunc(file, func(r rune) bool { return r < ' ' || r == 0x7f || r == ':' }) >= 0 {
			h.logf("%s: %q is not run: no program can be called so", p.ID, path)
			continue
		}
		if !p.home.Executable(path) {
			h.logf("%s: %s is not run: it is no executable file", p.ID, path)
			continue
		}
		g.Programs = append(g.Programs, supervise.Program{Name: file,
			Command: []string{filepath.Join(p.home.Path(), path)}, Dir: p.home.Path(), Env: environ(p),
			User: group(p.user),
			Log:  "." + p.ID + "_" + file + ".log"})
		waiting = append(waiting, name+":"+file+"\n"...)
	}
	if len(g.Programs) == 0 {
		return nil
	}
	if _, err := h.o.Supervisor.Put(ctx, g); err != nil {
		return err
	}
	if err := h.o.Supervisor.Start(ctx, name); err != nil {
		return err
	}
	return p.home.WriteOur(waitFile, waiting, 0o644)
}

// environ is what programs of hooks run with: nothing of ours.
func environ(p *partition) []string {
	return runas.Environ([]string{"PATH=" + os.Getenv("PATH")}, p.home.Path())
}
