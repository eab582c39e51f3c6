package detached

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// run is a command that the agent keeps.
type run struct {
	c       *Conn
	id      string
	started time.Time
	hold    compute.Hold
	tty     bool
	reads   bool
	ctx     context.Context // ends the command
	kill    context.CancelFunc
	out     [2]*ring
	stdin   *input
	signals chan string
	resize  chan compute.Size
	done    chan struct{} // closed when it has ended

	mu      sync.Mutex
	viewers int
	typing  *viewer // the viewer that may type; nil: none
	// a typing viewer has left, so a client may come back and ask how the run ended
	lost   bool
	timer  *time.Timer // the grace; nil: none runs
	result result
}

// result is how a run ended.
type result struct {
	exit      compute.Exit
	err       error
	at        time.Time // zero: it has not ended
	delivered bool      // a client has received it
	forgot    bool      // no client finds it any more
}

// viewer is a client that is attached to a run.
type viewer struct {
	cmd      *compute.Command
	first    bool // it started the run
	types    bool
	out      [2]*reader
	replaced chan struct{} // closed when another client has taken the run over
	copies   sync.WaitGroup
}

// newRun returns a run that has not started. A grace of zero becomes the usual one.
func newRun(c *Conn, cmd *compute.Command, now time.Time) *run {
	r := &run{
		c: c, id: cmd.Hold.Run, started: now, hold: *cmd.Hold, tty: cmd.TTY != nil, reads: cmd.Stdin != nil, stdin: newInput(),
		signals: make(chan string, 16), resize: make(chan compute.Size, 1), done: make(chan struct{}),
	}
	r.out = [2]*ring{newRing(&c.total), newRing(&c.total)}
	if r.hold.Grace == 0 {
		r.hold.Grace = grace
	}
	r.ctx, r.kill = context.WithCancel(context.Background()) // it outlives every connection
	return r
}

func (r *run) view() provider.HeldRun {
	r.mu.Lock()
	defer r.mu.Unlock()
	return provider.HeldRun{
		Run: r.id, Started: r.started, Keep: r.hold.Keep, TTY: r.tty, Stdin: r.reads, Typed: r.typing != nil,
		Watchers: r.viewers, Ended: !r.result.at.IsZero(),
	}
}

// join attaches a client, which reads from the place that its Hold names.
func (r *run) join(cmd *compute.Command, look bool) (*viewer, error) {
	h := cmd.Hold
	v := &viewer{cmd: cmd, first: !h.Attach, types: !look, replaced: make(chan struct{})}
	r.mu.Lock()
	if v.types && r.typing != nil && r.result.at.IsZero() {
		if !h.Take {
			r.mu.Unlock()
			return nil, &compute.Error{Op: "held", Kind: compute.ErrConflict, Err: errors.New(r.id + ": somebody else is there and types"),
				Hint: "only look, or take it over from him"}
		}
		close(r.typing.replaced)
		r.typing = nil
	}
	if v.types {
		r.typing = v
	}
	r.viewers++
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	r.mu.Unlock()
	places := [2]int64{h.Out, h.Err}
	for i, w := range v.writers() {
		if w == nil {
			continue
		}
		if v.first {
			places[i] = 0
		}
		x := r.out[i].from(places[i], v.types)
		v.out[i] = x
		v.copies.Go(func() {
			r.copied(v, i, x.copy(w))
			x.leave() // the command does not wait for it any more
		})
	}
	if v.types && r.reads && cmd.Stdin != nil {
		r.stdin.from(v, cmd.Stdin)
	}
	return v, nil
}

func (v *viewer) writers() [2]io.Writer {
	if same(v.cmd.Stdout, v.cmd.Stderr) && v.first { // the command writes both to one
		return [2]io.Writer{v.cmd.Stdout, nil}
	}
	return [2]io.Writer{v.cmd.Stdout, v.cmd.Stderr}
}

// copied handles the end of a viewer's output. If the first viewer wants no more, the command gets
// the error that a closed pipe gives.
func (r *run) copied(v *viewer, i int, err error) {
	if err == nil || err == errLeft || errors.Is(err, compute.ErrLost) || errors.Is(err, context.Canceled) || !v.first {
		return // the context tells of lost contact
	}
	r.out[i].fail(io.ErrClosedPipe)
}

// serve serves a viewer until the run ends, the viewer leaves, or another client takes over.
func (r *run) serve(ctx context.Context, v *viewer) (compute.Exit, error) {
	signals, sizes := v.cmd.Signals, v.cmd.Resize
	if !v.types {
		signals, sizes = nil, nil
	}
	if v.types && !v.first && r.tty && v.cmd.TTY != nil {
		r.size(*v.cmd.TTY)
	}
	for {
		select {
		case <-r.done:
			return r.deliver(ctx, v)
		case <-v.replaced:
			r.leave(v)
			return compute.Exit{}, fault(compute.ErrLost, "%s: another has taken it over, and it goes on", r.id)
		case <-ctx.Done():
			if v.types && !contactLost(ctx) {
				r.stop(v)
				r.leave(v)
				r.c.forget(r)
				return compute.Exit{}, ctx.Err()
			}
			r.leave(v)
			return compute.Exit{}, context.Cause(ctx)
		case s, ok := <-signals:
			if !ok {
				signals = nil
				continue
			}
			select {
			case r.signals <- s:
			default: // the queue is full of unread signals: one more says nothing new
			}
		case s, ok := <-sizes:
			if !ok {
				sizes = nil
				continue
			}
			r.size(s)
		}
	}
}

// stop ends the command, waits for its end, and for lastWords until the viewer has its last output.
func (r *run) stop(v *viewer) {
	r.kill()
	<-r.done
	t := time.NewTimer(lastWords)
	defer t.Stop()
	select {
	case <-v.all():
	case <-t.C:
	}
}

// all returns a channel that is closed when the viewer has all the output.
func (v *viewer) all() <-chan struct{} {
	all := make(chan struct{})
	go func() { v.copies.Wait(); close(all) }() // ends when the viewer leaves
	return all
}

// size passes on a size of the terminal. Only the last one counts.
func (r *run) size(s compute.Size) {
	select {
	case <-r.resize:
	default:
	}
	select {
	case r.resize <- s:
	default:
	}
}

// deliver waits until a viewer has all the output, and returns how the run ended.
func (r *run) deliver(ctx context.Context, v *viewer) (compute.Exit, error) {
	select {
	case <-v.all():
	case <-ctx.Done():
		if contactLost(ctx) {
			r.leave(v)
			return compute.Exit{}, context.Cause(ctx)
		}
	}
	r.mu.Lock()
	exit, err := r.result.exit, r.result.err
	early := v.first && r.hold.Keep && err == nil // a client that only started it is about to leave
	r.result.delivered = r.result.delivered || !early
	forget := v.first && !r.lost && !early // no other client could know of it
	r.mu.Unlock()
	r.leave(v)
	if forget {
		r.c.forget(r)
	}
	return exit, err
}

// leave detaches a viewer. If it is the last one and the run goes on, the grace period begins.
func (r *run) leave(v *viewer) {
	for _, x := range v.out {
		if x != nil {
			x.leave()
		}
	}
	r.stdin.leave(v)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.viewers--
	if r.typing == v {
		r.typing = nil
	}
	if v.types && (r.result.at.IsZero() || !r.result.delivered) {
		r.lost = true
	}
	if r.viewers == 0 && r.result.forgot {
		r.freeLocked()
	}
	if r.viewers == 0 && r.result.at.IsZero() && !r.hold.Keep {
		r.timer = time.AfterFunc(r.hold.Grace, r.late)
	}
}

// late ends a run to which no client has come back.
func (r *run) late() {
	r.mu.Lock()
	alone := r.viewers == 0
	r.mu.Unlock()
	if alone {
		r.kill()
	}
}

// ended records how the run ended.
func (r *run) ended(exit compute.Exit, err error) {
	if err != nil && r.ctx.Err() != nil && errors.Is(err, context.Canceled) {
		exit, err = compute.Exit{Signal: "KILL"}, nil // as a later client sees it
	}
	r.stdin.close()
	r.mu.Lock()
	r.result.exit, r.result.err, r.result.at = exit, err, time.Now()
	if r.timer != nil {
		r.timer.Stop()
		r.timer = nil
	}
	r.mu.Unlock()
	for _, o := range r.out {
		o.close()
	}
	close(r.done)
	r.kill() // the context's resources
}

// end returns when the run ended; zero: it goes on.
func (r *run) end() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.result.at
}

// free releases the memory as soon as there is no viewer.
func (r *run) free() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.result.forgot = true
	if r.viewers == 0 {
		r.freeLocked()
	}
}

func (r *run) freeLocked() {
	for _, o := range r.out {
		o.free()
	}
}

// input is the standard input of a run: that of one typing viewer after the other.
type input struct {
	r *io.PipeReader
	w *io.PipeWriter

	mu  sync.Mutex
	now *viewer // the viewer whose input counts
}

func newInput() *input {
	r, w := io.Pipe()
	return &input{r: r, w: w}
}

// Read implements io.Reader.
func (i *input) Read(p []byte) (int, error) { return i.r.Read(p) }

// from makes in the input until its viewer leaves. The end of in ends the command's input. A lost
// connection does not.
func (i *input) from(v *viewer, in io.Reader) {
	i.mu.Lock()
	i.now = v
	i.mu.Unlock()
	go func() { // ends with the stream that it reads, or with the command
		buf := make([]byte, 32<<10)
		for {
			n, err := in.Read(buf)
			i.mu.Lock()
			mine := i.now == v
			i.mu.Unlock()
			if !mine {
				return
			}
			if n > 0 {
				if _, werr := i.w.Write(buf[:n]); werr != nil {
					if c, ok := in.(interface{ CloseWithError(error) error }); ok {
						_ = c.CloseWithError(werr)
					}
					return
				}
			}
			if err == io.EOF {
				_ = i.w.Close()
				return
			}
			if err != nil {
				return
			}
		}
	}()
}

func (i *input) leave(v *viewer) {
	i.mu.Lock()
	if i.now == v {
		i.now = nil
	}
	i.mu.Unlock()
}

// close is called at the end of the command, which reads no more.
func (i *input) close() { _ = i.r.CloseWithError(io.ErrClosedPipe) }
