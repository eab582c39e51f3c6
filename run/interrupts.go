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
	"github.com/hostler-project/hostler/compute/exitstatus"
)

const killAfter = 10 * time.Second // after TERM or HUP, before the command is killed

// Interrupts passes the signals of a run's process on to its command.
type Interrupts struct {
	signals chan string     // for the command
	stop    <-chan struct{} // closing it acts like TERM

	mu      sync.Mutex
	running bool   // signals go to the command now
	last    string // the last signal that ended something
	ints    int
}

// Listen takes over the process's signals if take is set. Before the command runs, they end the
// context that Listen returns. After that they go to the command: the first INT as INT, the second
// as TERM, and the third kills. TERM and HUP kill after 10 s too. stop gives the signals back.
//
// Listen takes SIGPIPE too. A reader that has gone makes a write fail, and what was acquired is
// still released. The signal is not ignored, since the command would inherit that.
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
				name, soon = n.on(exitstatus.Signals[s])
			}
			switch name {
			case "":
			case "KILL":
				cancel()
			default:
				select {
				case n.signals <- name:
				default: // the command takes no more signals
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

// on returns what to send to the command for a signal: "" for nothing, or "KILL" to end everything.
// soon says to kill the command if it does not end.
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

// By returns the signal that was to end the run; "" if none was.
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

// Interrupted gives an error that came from a signal to this process the exit status of that
// signal.
func (n *Interrupts) Interrupted(err error, begun bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last != "" && errors.Is(err, context.Canceled) && !begun {
		return &exitstatus.Interruption{Signal: n.last, Became: "the command has not begun"}
	}
	if n.last != "" && errors.Is(err, context.Canceled) {
		return exitstatus.Exit(128 + compute.SignalNumber(n.last))
	}
	return err
}
