package kubernetes

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/kubernetes/manifest"
	"github.com/hostler-project/hostler/provider/kubernetes/podexec"
	"github.com/hostler-project/hostler/remote/agent"
)

// agentFile is the guest program in a pod where an init container put it.
const agentFile = ".agent"

// carrier is that init container.
const carrier = "hostler-agent"

// carries reports whether a pod has that init container.
func (p *record) carries() bool {
	return slices.ContainsFunc(p.Status.InitContainerStatuses, func(c running) bool { return c.Name == carrier })
}

// Connect starts the guest program in a pod's container and connects to it.
func (p *Provider) Connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	c, err := p.entrance.connect(ctx, id)
	if err != nil {
		return nil, p.fault("Connect", id, p.entrance.obituary(id, err))
	}
	return c, nil
}

// obituary adds to the error of a missing pod what is known of its end.
func (e *entrance) obituary(id compute.ID, err error) error {
	if why := e.p.watch().deletionReason(e.p.podName(id)); errors.Is(err, errNone) && why != "" {
		return fmt.Errorf("%w: %s", err, why)
	}
	return err
}

// connect enters a pod's container. If the pod is not ready, it starts the watches for the next
// try.
func (e *entrance) connect(ctx context.Context, id compute.ID) (compute.Conn, error) {
	in, err := e.p.objects.known(ctx, id)
	if err == nil {
		in, err = e.p.objects.podOf(ctx, in)
	}
	if err != nil {
		return nil, err
	}
	name := e.p.objects.containerOf(in)
	wait, err := in.fate(name, e.p.o.Schedule, time.Now())
	if wait { // the caller will ask again and again
		e.p.watch().begin()
		e.p.podWatch().begin()
		return nil, e.hindered(ctx, id, in, err)
	}
	e.starts(id)
	if err != nil {
		return nil, err
	}
	if _, err := e.p.c.ask(); err != nil {
		return nil, err
	}
	at := e.p.c.container(in.Metadata.Name, name)
	if e.p.o.Way == "exec" {
		c := e.byExec(id, at, e.p.objects.sight(in))
		if _, err := c.Run(ctx, &compute.Command{Args: []string{"true"}}); err != nil {
			_ = c.Close()
			return nil, e.ended(ctx, id, err)
		}
		return c, nil
	}
	c := &conn{p: e.p, id: id, on: e.p.objects.sight(in), in: at, carried: in.carries()}
	if err := c.enter(ctx); err != nil {
		return nil, e.ended(ctx, id, err)
	}
	c.standing.Go(func() { e.awaitEnd(c.Done(), at.Pod, c.on.uid, &c.over, c.pipe.Stop) })
	return c, nil
}

// byExec returns a connection by exec alone. on is the pod when it was entered.
func (e *entrance) byExec(id compute.ID, in podexec.Container, on sighted) *podexec.Conn {
	return podexec.Connect(id, in, podexec.Pod{
		AwaitEnd: func(done <-chan struct{}, why *atomic.Pointer[string], end context.CancelFunc) {
			e.awaitEnd(done, in.Pod, on.uid, why, end)
		},
		Replaced: func() error {
			if e.p.podWatch().get(on.name) == nil {
				return nil
			}
			if err := e.p.objects.replaced(on); err != nil {
				return err.(*compute.Error).Err
			}
			return nil
		},
		Lost: func(ctx context.Context, err error, why *atomic.Pointer[string], closed bool) error {
			return e.lostFor(ctx, id, on, in, err, why, closed)
		},
		Killed:  func(ctx context.Context) string { return e.reasonOf(ctx, id) },
		Refused: func(err error) error { return e.p.fault("Run", id, err) },
	})
}

// ended finds out why a pod cannot be entered. The pod may have ended by itself.
func (p *entrance) ended(ctx context.Context, id compute.ID, err error) error {
	in, e := p.p.objects.read(ctx, id)
	if e == nil {
		in, e = p.p.objects.podOf(ctx, in)
	}
	if e == nil {
		if _, fate := in.fate(p.p.objects.containerOf(in), p.p.o.Schedule, time.Now()); fate != nil {
			return fate
		}
		// the pod goes too, as soon as the cluster has noticed
		if node := in.Spec.NodeName; absent(err, node) {
			return &compute.Error{Kind: compute.ErrUnavailable, Err: compute.Ended(fmt.Errorf("its node %s is gone", node))}
		}
	} else if errors.Is(e, errNone) {
		return e
	}
	return err
}

// conn is a connection to the guest program in one of a pod's containers.
type conn struct {
	*agent.Client
	pipe *podexec.Pipe
	p    *Provider
	id   compute.ID
	on   sighted // the pod when it was entered
	in   podexec.Container

	carried bool // an init container put the guest program there

	over     atomic.Pointer[string] // why the pod has ended; nil: it has not, as far as is known
	closed   atomic.Bool
	standing sync.WaitGroup
}

var (
	_ compute.Conn      = (*conn)(nil)
	_ provider.Dialer   = (*conn)(nil)
	_ provider.Listener = (*conn)(nil)
)

// enter starts the guest program, first copying it there if necessary, and waits for its first
// answer. The pod says whether an init container was to put it there. The source may have changed.
func (c *conn) enter(ctx context.Context) error {
	var before error
	if c.carried || c.p.o.AgentIn != "" {
		err := c.meet(ctx, manifest.Home+"/"+agentFile, nil)
		if err == nil || ctx.Err() != nil || c.carried {
			return err
		}
		before = err // the source may have had no agent-image then
	}
	// one call of the API server instead of two
	if at, ok := c.p.entrance.placed(c.on.uid); ok {
		if err := c.meet(ctx, at.path, at.args); err == nil || ctx.Err() != nil {
			return err
		}
		c.p.entrance.place(c.on.uid, nil)
	}
	path, program, err := c.find(ctx)
	if err != nil {
		return cmp.Or(before, err)
	}
	if path == "" {
		if path, err = c.deliver(ctx, program); err != nil {
			return cmp.Or(before, err)
		}
	}
	if err := c.meet(ctx, path, program.args); err != nil {
		return err
	}
	c.p.entrance.place(c.on.uid, &placing{path, program.args})
	return nil
}

// placing is where the guest program is in a pod, and the words before its own arguments.
type placing struct {
	path string
	args []string
}

// manyPlaces is how many pods are remembered. Pods that are gone are not removed one by one, so at
// this number all are forgotten.
const manyPlaces = 20_000

// placed returns where the guest program was found in a pod.
func (e *entrance) placed(uid string) (placing, bool) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	at, ok := e.places[uid]
	return at, ok
}

// place remembers where the guest program is; nil: it is not there.
func (e *entrance) place(uid string, at *placing) {
	e.p.mu.Lock()
	defer e.p.mu.Unlock()
	switch {
	case at == nil:
		delete(e.places, uid)
		return
	case e.places == nil || len(e.places) >= manyPlaces:
		e.places = map[string]placing{}
	}
	e.places[uid] = *at
}

// meet starts the guest program at a path.
func (c *conn) meet(ctx context.Context, path string, args []string) error {
	// A daemon of the guest program keeps what outlives a connection. The pod's uid separates pods
	// that share a file system.
	c.pipe = c.in.Open(ctx, slices.Concat([]string{path}, args, []string{"serve", "--keep-env", "--daemon=" + c.on.uid, "stdio"}))
	c.Client = agent.New(c.pipe)
	err := c.Ping(ctx)
	if err == nil {
		return nil
	}
	_ = c.Client.Close()
	_ = c.pipe.Close()
	if refused := c.pipe.Refused(); refused != nil {
		return refused
	}
	if said := c.pipe.Said(); said != "" && errors.Is(err, compute.ErrLost) {
		err = errors.New(said)
	}
	return err
}

// look prints the kind of machine, and where the guest program is or may be put: a directory that
// was made for it, else one for temporary files.
const look = `uname -m; for d in ` + manifest.Home + ` "${TMPDIR:-/tmp}" /var/tmp "$HOME"; do
f="$d/.hostler-agent-$1"; if [ -x "$f" ] && [ -O "$f" ]; then echo "have $f"; exit; fi; done
for d in ` + manifest.Home + ` "${TMPDIR:-/tmp}" /var/tmp "$HOME"; do if [ -d "$d" ] && [ -w "$d" ]; then echo "may $d"; fi; done`

// put writes standard input to a file atomically, and tests whether it can be run.
const put = `umask 077; n="$1/.hostler-agent-$2"; cat >"$n.$$" && chmod 755 "$n.$$" && [ "$(wc -c <"$n.$$")" -eq "$3" ] && "$n.$$" $4 version >/dev/null && mv -f "$n.$$" "$n" && exit
rm -f "$n.$$"; exit 1`

// delivery is a program that is to be copied into a container, and where it may go.
type delivery struct {
	file, hash string
	size       int64
	args       []string // the words before its own arguments
	dirs       []string
}

// find looks for the guest program in the container. path is "" if it is not there.
func (c *conn) find(ctx context.Context) (path string, d delivery, err error) {
	none := func(err error) (string, delivery, error) {
		return "", d, &compute.Error{
			Kind: compute.ErrInvalid, Err: fmt.Errorf("our program cannot be put into the container: %w", err),
			Hint: "set agent-image in the source, or way = exec",
		}
	}
	if c.p.o.Agent == nil {
		return none(errors.New("there is none for pods"))
	}
	// Only the container knows the kind of machine. So the first question has the hash of the
	// program for the most usual kind.
	for arch := "amd64"; ; {
		program, err := c.p.o.Agent(arch)
		if err != nil {
			return "", d, err
		}
		if d.hash, d.size, err = hashOf(program.Path); err != nil {
			return "", d, err
		}
		d.file, d.args = program.Path, program.Args
		out, err := c.in.Say(ctx, nil, look, d.hash)
		if err != nil {
			var status *podexec.StatusError
			if podexec.Missing(err) || errors.As(err, &status) {
				return none(err)
			}
			return "", d, err
		}
		lines := strings.Split(out, "\n")
		machine := map[string]string{"x86_64": "amd64", "aarch64": "arm64"}[lines[0]]
		if machine == "" {
			return none(fmt.Errorf("the machine is %q", lines[0]))
		}
		if machine != arch {
			arch = machine
			continue
		}
		d.dirs = nil
		for _, line := range lines[1:] {
			if have, ok := strings.CutPrefix(line, "have "); ok {
				return have, d, nil
			}
			if dir, ok := strings.CutPrefix(line, "may "); ok {
				d.dirs = append(d.dirs, dir)
			}
		}
		if len(d.dirs) == 0 {
			return none(errors.New("no directory there can be written to"))
		}
		return "", d, nil
	}
}

// deliver copies the guest program to the first directory where it can be run.
func (c *conn) deliver(ctx context.Context, d delivery) (string, error) {
	if err := c.p.at("deliver"); err != nil {
		return "", err
	}
	var errs []error
	for _, dir := range d.dirs {
		f, err := os.Open(d.file)
		if err != nil {
			return "", err
		}
		_, err = c.in.Say(ctx, f, put, dir, d.hash, fmt.Sprint(d.size), strings.Join(d.args, " "))
		_ = f.Close()
		var status *podexec.StatusError
		switch {
		case err == nil:
			return dir + "/.hostler-agent-" + d.hash, nil
		case !errors.As(err, &status):
			return "", err
		}
		errs = append(errs, fmt.Errorf("%s: %w", dir, err))
	}
	return "", &compute.Error{
		Kind: compute.ErrInvalid,
		Err:  fmt.Errorf("our program cannot be put into the container: %w", errors.Join(errs...)),
		Hint: "set agent-image in the source, or way = exec",
	}
}

func hashOf(path string) (string, int64, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", 0, err
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	return hex.EncodeToString(sum.Sum(nil)[:12]), n, err
}

// Run runs a command. If something outside of it ended it, the cluster is asked for the reason.
func (c *conn) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	exit, err := c.Client.Run(ctx, cmd)
	return exit, c.why(ctx, err)
}

// Put unpacks a tar stream into a directory.
func (c *conn) Put(ctx context.Context, dir string, tar io.Reader) error {
	return c.why(ctx, c.Client.Put(ctx, dir, tar))
}

// Get writes a tree as a tar stream.
func (c *conn) Get(ctx context.Context, path string, w io.Writer) error {
	return c.why(ctx, c.Client.Get(ctx, path, w))
}

// Dial implements provider.Dialer.
func (c *conn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	to, err := c.Client.Dial(ctx, network, address)
	return to, c.why(ctx, err)
}

// reasonOf returns why a command of a pod may have been killed. "": nothing is known.
func (e *entrance) reasonOf(ctx context.Context, id compute.ID) string {
	in, err := e.p.objects.known(ctx, id)
	if err == nil {
		in, err = e.p.objects.podOf(ctx, in)
	}
	if err == nil && in.end() == reason {
		return reason
	}
	return ""
}

// Close ends the connection and what runs through it.
func (c *conn) Close() error {
	c.closed.Store(true)
	defer c.standing.Wait()
	return errors.Join(c.Client.Close(), c.pipe.Close())
}
