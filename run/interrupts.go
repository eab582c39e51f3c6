package run

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/status"
)

const killAfter = 10 * time.Second // a command that goes on after TERM or HUP is killed

// Interrupts are what becomes of the signals that a run's process gets.
type Interrupts struct {
	signals chan string     // to the command
	stop    <-chan struct{} // when closed, it is as if TERM came

	mu      sync.Mutex
	running bool   // signals go to the command
	last    string // that ended something
	ints    int
}

// Listen takes the process's signals, if it is told to. Before the command runs they end the
// context it returns;
// after that they go to the command: the first INT as INT, the second as TERM, the third kills, and
// so does waiting for 10 s after TERM and HUP. stop gives the signals back.
//
// SIGPIPE is taken too, so that a reader that has gone makes a write fail, after which what was
// acquired is still given back. It is not ignored: the command would inherit that.
func (n *Interrupts) Listen(ctx context.Context, take bool) (_ context.Context, stop func()) {
	n.signals = make(chan string, 8)
	ctx, cancel := context.WithCancel(ctx)
	got := make(chan os.Signal, 8)
	if take {
		signal.Notify(got, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT,
			syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		var kill <-chan time.Time
		stop := n.stop
		for {
			var name string
			var soon bool
			select {
			case <-ctx.Done():
				return
			case <-kill:
				name = "KILL"
			case <-stop:
				stop = nil
				name, soon = n.on("TERM")
			case s := <-got:
				name, soon = n.on(status.Signals[s])
			}
			switch name {
			case "":
			case "KILL":
				cancel()
			default:
				select {
				case n.signals <- name:
				default: // the command takes no more
				}
			}
			if soon && kill == nil {
				kill = time.After(killAfter)
			}
		}
	}()
	return ctx, func() {
		signal.Stop(got)
		cancel()
		<-done
	}
}

// on says what to send to the command for a signal that we got: "" nothing, "KILL" to end it all;
// soon: kill it if it does not end.
func (n *Interrupts) on(name string) (send string, soon bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if name == "" {
		return "", false
	}
	if n.last == "" || name != "USR1" && name != "USR2" {
		n.last = name
	}
	if !n.running {
		if name == "USR1" || name == "USR2" {
			return "", false
		}
		return "KILL", false
	}
	if name == "INT" {
		n.ints++
		return [...]string{"INT", "TERM", "KILL"}[min(n.ints, 3)-1], false
	}
	return name, name == "TERM" || name == "HUP"
}

// By is the signal that was to end the run; "": none was.
func (n *Interrupts) By() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last == "USR1" || n.last == "USR2" {
		return ""
	}
	return n.last
}

func (n *Interrupts) setRunning(b bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.running = b
}

// Interrupted gives an error that our own end by a signal brought about the status of that signal.
func (n *Interrupts) Interrupted(err error, begun bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last != "" && errors.Is(err, context.Canceled) && !begun {
		return &status.Interruption{Signal: n.last, Became: "the command has not begun"}
	}
	if n.last != "" && errors.Is(err, context.Canceled) {
		return status.Exit(128 + compute.SignalNumber(n.last))
	}
	return err
}
