package deploycmd

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/deploy"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/run/redact"
)

// run makes the nodes.
func (d *deploying) run(ctx context.Context) ([]*deploy.Node, error) {
	requests := map[*variant]compute.Request{}
	for _, v := range d.all {
		req, err := d.request(v)
		if err != nil {
			return nil, err
		}
		if req.Owner = d.owner; req.Wait == 0 && d.opt.Wait.Given {
			req.Wait = d.opt.Wait.Value
		}
		requests[v] = req
	}
	opt := deploy.Options{
		Names: d.names, Request: requests[d.all[0]], Parallel: cmp.Or(d.opt.parallel, d.settings.Parallel),
		AllOrNothing: d.opt.allOrNothing, OnFailure: deploy.OnFailure(d.opt.onFailure),
		Acquire: d.engine.Acquire, Release: d.release, Look: d.look, Connect: d.connect, Tell: d.show.tell,
		Prepare: func(n *deploy.Node, req *compute.Request) error {
			own := requests[d.by[n.Name]]
			req.Image, req.Flavor, req.Location = own.Image, own.Flavor, own.Location
			for _, key := range []string{"bundles", "image", "flavor"} { // the others are alike
				delete(req.Labels, key)
			}
			maps.Copy(req.Labels, own.Labels)
			return nil
		},
	}
	if len(d.names) == 1 { // for one request, show why it waits
		opt.Acquire = func(ctx context.Context, req compute.Request) ([]compute.Lease, error) {
			return leasecmd.Take(d.app, ctx, d.engine, req)
		}
	}
	if d.planned() {
		opt.Apply = d.apply
		d.boot(&opt)
	}
	if !d.app.Compat && d.app.CanAsk() {
		opt.Ask = func(n *deploy.Node) bool { return d.app.Confirm(fmt.Sprintf("%s failed: destroy it?", n.Name)) }
	}
	nodes, err := deploy.Run(ctx, opt)
	for _, n := range nodes {
		if n.State == deploy.Failed {
			d.show.say(n, "it is kept as %s: hostler shell %s, hostler destroy %s%s", n.Instance.ID, n.Name, n.Name, d.goOn(n))
		}
	}
	return nodes, err
}

// goOn returns the command that continues the set-up of a failed node, or "". Values may be secret
// and are left out.
func (d *deploying) goOn(n *deploy.Node) string {
	v := d.by[n.Name]
	if v.plan == nil || d.opt.old || len(v.plan.Bundles()) == 0 {
		return ""
	}
	words := "; to go on where it failed: hostler bundle apply"
	for _, b := range v.plan.Bundles() {
		words += " " + b.Name
	}
	words += " --on " + n.Name
	if d.as() == "self" {
		words += " --as self"
	}
	for _, name := range v.plan.Wants() {
		words += " -t " + name + "=..."
	}
	return words
}

func (d *deploying) who(n *deploy.Node) compute.Who {
	return compute.Who{Owner: d.owner, Lease: n.Lease.ID}
}

// look returns a node's instance, with the facts of the real one if a pool is in front of it.
func (d *deploying) look(ctx context.Context, l compute.Lease) (compute.Instance, error) {
	i, _, err := d.engine.Resolve(ctx, string(l.Instance))
	if err == nil && i.Child != "" {
		var leaf compute.Instance
		if leaf, err = d.engine.Leaf(ctx, i.ID); err == nil {
			leaf = sshFacts(d.app, ctx, leaf)
			i.Facts, i.ProviderID = leaf.Facts, cmp.Or(i.ProviderID, leaf.ProviderID)
			i.Address = cmp.Or(i.Address, leaf.Address)
		}
	} else if err == nil {
		i = sshFacts(d.app, ctx, i)
	}
	return i, err
}

// connect connects to a node without the keeper, since no later command needs the connection.
func (d *deploying) connect(ctx context.Context, n *deploy.Node) (compute.Conn, error) {
	return d.app.ConnectOnce(ctx, d.engine, d.who(n), n.Instance)
}

// release destroys a node.
func (d *deploying) release(ctx context.Context, n *deploy.Node) error {
	return d.engine.Release(ctx, d.who(n), compute.ReleaseOptions{Force: true}, n.Instance.ID)
}

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

// say writes a line of hostler's.
func (w *nodeWriter) say(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	w.part = append(w.part, "* "+text+"\n"...)
	w.flush()
}

// nodeWriter splits a node's output into lines. It is safe for concurrent use.
type nodeWriter struct {
	show   *shown
	prefix string
	quiet  bool

	mu   sync.Mutex
	part []byte
	log  *bufio.Writer
	file *os.File
	err  error
}

// maxPart is the length at which a line is split.
const maxPart = 8 << 10

func (w *nodeWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rest := p; len(rest) > 0; {
		i := strings.IndexByte(string(rest[:min(len(rest), maxPart)]), '\n')
		n := i + 1
		if i < 0 {
			n = min(len(rest), maxPart-len(w.part))
		}
		w.part = append(w.part, rest[:n]...)
		rest = rest[n:]
		if i >= 0 || len(w.part) >= maxPart {
			w.flush()
		}
	}
	return len(p), nil
}

// flush prints the unfinished line. The caller holds mu.
func (w *nodeWriter) flush() {
	if len(w.part) == 0 {
		return
	}
	line := w.show.mask(strings.TrimSuffix(string(w.part), "\n")) + "\n"
	w.part = w.part[:0]
	if _, err := io.WriteString(w.log, line); err != nil && w.err == nil {
		w.err = err
	}
	if w.quiet {
		return
	}
	w.show.mu.Lock()
	defer w.show.mu.Unlock()
	out, end := term.Displayed(w.show.app.Err)
	_, _ = io.WriteString(out, w.prefix+line) // a reader that has gone does not end the work
	_ = end()
}

// Close writes what is left.
func (w *nodeWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
	return errors.Join(w.err, w.log.Flush(), w.file.Close())
}
