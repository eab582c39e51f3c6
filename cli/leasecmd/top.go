package leasecmd

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	xterm "golang.org/x/term"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/text/visible"
)

const (
	topLeases = 500 // the most leases that are read
	topEvents = 1000
)

func NewTop(a *cli.App) *cobra.Command {
	var once bool
	every := term.DurationFlag{Value: time.Second}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Watch sources, instances, leases and events on the whole terminal",
		Long: `Show how the sources stand, which instances are being made, cleaned or discarded, the leases, what happened last and how often, and again at each interval.
Keys: q ends it, the space bar pauses, s sorts the leases otherwise, / filters by words, h explains. Where standard output is no terminal it is shown once.`,
		Example: "  hostler top\n  hostler top --once",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every.Value < 100*time.Millisecond {
				return fault.Invalid("", "--interval %v: less than 100ms", every.Value)
			}
			return top(a, cmd.Context(), once, every.Value)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "show it once, as plain text")
	cmd.Flags().Var(&every, "interval", "look so often")
	return cmd
}

// watcher gathers the data of top.
type watcher struct {
	engine cli.Engine
	where  string
	after  int64           // the newest event that was seen
	events []compute.Event // the latest events
	begun  bool
}

func top(a *cli.App, ctx context.Context, once bool, every time.Duration) error {
	engine, err := a.Engine(ctx)
	if err != nil {
		return err
	}
	w := &watcher{engine: engine, where: "embedded"}
	if a.Remote != nil {
		w.where = "controller"
	}
	a.Due(ctx)
	in, inOK := a.In.(*os.File)
	out, outOK := a.Out.(*os.File)
	if a.JSON {
		v, err := w.look(ctx, time.Now())
		if err != nil {
			return err
		}
		return a.PrintJSON(viewTop(v))
	}
	if once || !inOK || !outOK || !term.IsTerminal(in) || !term.IsTerminal(out) {
		v, err := w.look(ctx, time.Now())
		if err != nil {
			return err
		}
		v.Events = v.Events[max(0, len(v.Events)-10):]
		return term.Printf(a.Out, "%s\n", visible.Block(strings.Join(v.Picture(TopWish{}, 0, 0), "\n")))
	}
	ctx, stop := a.UntilSignal(ctx)
	defer stop()
	return w.screen(ctx, in, out, every)
}

// look gathers the data anew.
func (w *watcher) look(ctx context.Context, now time.Time) (*TopView, error) {
	v := &TopView{At: now, Where: w.where}
	var err error
	if v.Sources, err = w.engine.Status(ctx); err != nil {
		return nil, err
	}
	var stirring, used, waiting int
	for _, s := range v.Sources {
		c := s.Counts
		stirring += c.Creating + c.SettingUp + c.Cleaning + c.Discarding + c.Failed + c.Held
		used += c.InUse()
		waiting += s.Waiting
	}
	if q, ok := w.engine.(interface {
		Queue(ctx context.Context) ([]compute.Queued, error)
	}); ok && waiting > 0 {
		if v.Queue, err = q.Queue(ctx); err != nil {
			return nil, err
		}
	}
	if stirring > 0 {
		if v.Moving, err = w.engine.Instances(ctx, compute.InstanceQuery{Limit: topLeases, States: []compute.State{compute.Creating,
			compute.SettingUp, compute.Cleaning,
			compute.Discarding, compute.Failed, compute.Held}}); err != nil {
			return nil, err
		}
		slices.SortStableFunc(v.Moving, func(a, b compute.Instance) int { return a.Since.Compare(b.Since) })
	}
	if used > 0 {
		if v.Leases, err = w.engine.Leases(ctx, compute.LeaseQuery{Limit: topLeases}); err != nil {
			return nil, err
		}
		v.more = len(v.Leases) >= topLeases
	}
	q := compute.EventQuery{After: w.after, Limit: topEvents}
	if !w.begun {
		q = compute.EventQuery{Newest: topEvents}
	}
	found, err := w.engine.Events(ctx, q)
	if err != nil {
		return nil, err
	}
	w.begun = true
	for _, e := range found {
		w.after = max(w.after, e.ID)
	}
	w.events = append(w.events, found...)
	w.events = slices.Clone(w.events[max(0, len(w.events)-topEvents):])
	v.Events = w.events
	for _, e := range v.Events {
		if now.Sub(e.Time) > time.Minute {
			continue
		}
		switch e.Kind {
		case "leased":
			v.Given++
		case "released", "expired":
			v.Ended++
		case "failed", "paused", "unreachable", "discard-failed":
			v.failed++
		}
	}
	return v, nil
}

// The control sequences for the alternate screen, the normal screen and the top left corner.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[2J"
	LeaveScreen = "\x1b[?25h\x1b[?1049l"
	TopLeft     = "\x1b[H"
	restOfLine  = "\x1b[K"
)

// screen shows the view until q or the end of ctx, then restores the terminal.
func (w *watcher) screen(ctx context.Context, in, out *os.File, every time.Duration) (err error) {
	old, err := xterm.MakeRaw(int(in.Fd()))
	if err != nil {
		return err
	}
	defer func() {
		_, _ = out.WriteString(LeaveScreen)
		_ = xterm.Restore(int(in.Fd()), old)
	}()
	if _, err := out.WriteString(enterScreen); err != nil {
		return err
	}
	sizes := make(chan os.Signal, 1)
	signal.Notify(sizes, syscall.SIGWINCH, syscall.SIGCONT)
	defer signal.Stop(sizes)
	ctx, cancel := context.WithCancel(ctx)
	keys, ended := make(chan string), make(chan struct{})
	go func() { defer close(ended); readKeys(ctx, in, keys) }()
	defer func() { cancel(); <-ended }()

	looked := make(chan topLook, 1)
	looking, last, wish := false, &TopView{At: time.Now(), Where: w.where}, TopWish{}
	look := func() {
		if looking {
			return // one question at a time
		}
		looking = true
		go func() { // ends with ctx and is waited for below
			v, err := w.look(ctx, time.Now())
			looked <- topLook{v, err}
		}()
	}
	defer func() {
		if cancel(); looking {
			<-looked
		}
	}()
	tick := time.NewTicker(every)
	defer tick.Stop()
	look()
	for {
		if err := show(out, last, wish); err != nil {
			return nil // the terminal has gone
		}
		select {
		case <-ctx.Done():
			return nil
		case l := <-looked:
			if looking = false; l.err != nil {
				again := *last
				again.Err = l.err
				last = &again
			} else if !wish.Paused {
				last = l.view
			}
		case <-tick.C:
			if !wish.Paused {
				look()
			}
		case s := <-sizes:
			if s == syscall.SIGCONT { // the shell may have changed the terminal
				_, _ = xterm.MakeRaw(int(in.Fd()))
				_, _ = out.WriteString(enterScreen)
			}
		case k, ok := <-keys:
			if !ok || wish.Press(k) {
				return nil
			}
		}
	}
}

type topLook struct {
	view *TopView
	err  error
}

// Press handles a key, and reports whether it quits.
func (w *TopWish) Press(key string) (quit bool) {
	if key == "\x03" {
		return true
	}
	if w.Typing {
		switch r, _ := utf8.DecodeRuneInString(key); {
		case key == "\r" || key == "\n":
			w.Typing = false
		case key == "\x1b":
			w.Typing, w.Filter = false, ""
		case key == "\x7f" || key == "\b":
			_, n := utf8.DecodeLastRuneInString(w.Filter)
			w.Filter = w.Filter[:len(w.Filter)-n]
		case r >= ' ' && len(w.Filter) < 100:
			w.Filter += key
		}
		return false
	}
	switch key {
	case "q", "Q":
		return true
	case " ", "p":
		w.Paused = !w.Paused
	case "s":
		w.Sort = (w.Sort + 1) % len(topSorts)
	case "/":
		w.Typing, w.Filter = true, ""
	case "\x1b":
		w.Filter = ""
	case "h", "?":
		w.help = !w.help
	}
	return false
}

// show draws a picture over the last one.
func show(out *os.File, v *TopView, wish TopWish) error {
	width, height, err := xterm.GetSize(int(out.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		width, height = 80, 24
	}
	var b bytes.Buffer
	b.WriteString(TopLeft)
	for i, line := range v.Picture(wish, height, width) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line + restOfLine)
	}
	_, err = out.Write(b.Bytes())
	return err
}

// readKeys reads keys until ctx or the terminal ends. A sequence of several bytes counts as one key
// if it arrives at once.
func readKeys(ctx context.Context, in *os.File, keys chan<- string) {
	defer close(keys)
	var buf [64]byte
	for ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(in.Fd()), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 100) // so that the end of ctx is noticed
		if err == unix.EINTR || err == nil && n == 0 {
			continue
		}
		if err != nil {
			return
		}
		n, err = unix.Read(int(in.Fd()), buf[:])
		if err == unix.EINTR || err == unix.EAGAIN {
			continue
		}
		if err != nil || n <= 0 {
			return
		}
		text := string(buf[:n])
		for text != "" {
			size := 1
			if text[0] == 0x1b && len(text) > 1 {
				size = len(text) // other keys, such as arrows, mean nothing
			} else if _, size = utf8.DecodeRuneInString(text); size == 0 {
				size = 1
			}
			key := text[:size]
			text = text[size:]
			select {
			case keys <- key:
			case <-ctx.Done():
				return
			}
		}
	}
}

// topJSON is what `top --json` prints.
type topJSON struct {
	Time    time.Time       `json:"time"`
	Sources []api.Source    `json:"sources"`
	Moving  []api.Instance  `json:"moving"`
	Leases  []api.Lease     `json:"leases"`
	Events  []compute.Event `json:"events"`
	Given   int             `json:"given"`
	Ended   int             `json:"ended"`
	Failed  int             `json:"failed"`
}

func viewTop(v *TopView) topJSON {
	out := topJSON{
		Time: v.At, Sources: []api.Source{}, Moving: []api.Instance{}, Leases: []api.Lease{},
		Events: append([]compute.Event{}, v.Events...), Given: v.Given, Ended: v.Ended, Failed: v.failed,
	}
	for _, s := range v.Sources {
		out.Sources = append(out.Sources, source(s))
	}
	for _, i := range v.Moving {
		out.Moving = append(out.Moving, instance(i, nil))
	}
	for _, l := range v.Leases {
		out.Leases = append(out.Leases, api.NewLease(l))
	}
	return out
}
