package missingpaths

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/sandbox/watch"
	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/run"
)

// Tracer watches the command of one run in a sandbox: its Around is for run.Options.
type Tracer struct {
	Agent agent.Finder // of the program that is copied into the sandbox, and runs the command
	// Leaf finds the real instance behind another, and its provider.
	Leaf   func(ctx context.Context, id compute.ID) (compute.Instance, compute.Provider, error)
	Show   func(source string) string // the key `show` of a source
	Report func(*Report, error)       // gets the result when the command has ended
}

// readTime is how long the reading of the result may take.
const readTime = 30 * time.Second

// Around runs the command under a watcher. end reads the watcher's file.
func (w *Tracer) Around(ctx context.Context, id compute.ID, conn compute.Conn, cmd *compute.Command) (end func(), err error) {
	program, err := w.Agent(runtime.GOARCH)
	if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(program.Path)
	if err != nil {
		return nil, err
	}
	dir, remove, err := run.PutFile(ctx, conn, cmd.User, "hostler-agent", data)
	if err != nil {
		return nil, err
	}
	file := path.Join(dir, "report")
	program.Path = path.Join(dir, "hostler-agent")
	cmd.Args = append(program.Command(watch.Word, file, "--"), cmd.Args...)
	return func() {
		defer remove()
		if ctx.Err() != nil { // the user has stopped waiting
			return
		}
		r, err := w.report(ctx, id, conn, file)
		if errors.Is(err, compute.ErrNotFound) {
			err = errors.New("the watcher was ended before it wrote them")
		}
		w.Report(r, err)
	}, nil
}

// report reads the watcher's file, and returns what is hidden.
func (w *Tracer) report(ctx context.Context, id compute.ID, conn compute.Conn, file string) (*Report, error) {
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	from, to := io.Pipe()
	go func() { _ = to.CloseWithError(conn.Get(ctx, file, to)) }()
	defer from.Close()
	archive := tar.NewReader(from)
	if _, err := archive.Next(); err != nil {
		return nil, err
	}
	seen, err := watch.Read(archive)
	if err != nil {
		return nil, err
	}
	leaf, p, err := w.Leaf(ctx, id)
	if err != nil {
		return nil, err
	}
	hidden, err := explainer(p, leaf.ID)
	if err != nil {
		return nil, err
	}
	r := &Report{Source: leaf.Source, Paths: []Path{}, More: seen.More, Unread: seen.Unread}
	for _, l := range seen.Lookups {
		if h, ok := hidden(string(l.Place), l.Empty); ok {
			h.Path = string(l.Path)
			r.add(h, &l)
		}
	}
	slices.SortStableFunc(r.Paths, func(a, b Path) int { return strings.Compare(a.Path, b.Path) })
	r.setLine(w.Show(leaf.Source))
	return r, nil
}
