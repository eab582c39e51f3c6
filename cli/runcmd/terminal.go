package runcmd

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	xterm "golang.org/x/term"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
)

// OwnTerminal returns a function that gives commands this process's terminal; nil if its input and
// output are none.
func OwnTerminal(a *cli.App) func(cmd *compute.Command) (restore func(), err error) {
	if !term.IsTerminal(a.In) || !term.IsTerminal(a.Out) {
		return nil
	}
	return func(cmd *compute.Command) (func(), error) { return terminal(a, cmd) }
}

// terminal gives the command a terminal of our size. Ours is in raw mode until restore is called.
func terminal(a *cli.App, cmd *compute.Command) (restore func(), err error) {
	size := compute.Size{Rows: 24, Cols: 80}
	out, ok := a.Out.(*os.File)
	if ok && xterm.IsTerminal(int(out.Fd())) {
		if cols, rows, err := xterm.GetSize(int(out.Fd())); err == nil {
			size = compute.Size{Rows: rows, Cols: cols}
		}
		var stop func()
		cmd.Resize, stop = sizes(out)
		restore = stop
	}
	cmd.TTY, cmd.Term = &size, os.Getenv("TERM")
	in, ok := a.In.(*os.File)
	if !ok || !xterm.IsTerminal(int(in.Fd())) {
		return once(restore), nil
	}
	old, err := xterm.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	stop := restore
	return once(func() {
		_ = xterm.Restore(int(in.Fd()), old)
		if stop != nil {
			stop()
		}
	}), nil
}

func once(f func()) func() {
	if f == nil {
		return func() {}
	}
	return sync.OnceFunc(f)
}

// sizes sends a terminal's new sizes until stop is called.
func sizes(out *os.File) (_ <-chan compute.Size, stop func()) {
	changed, ended := make(chan os.Signal, 1), make(chan struct{})
	told := make(chan compute.Size, 1)
	signal.Notify(changed, syscall.SIGWINCH)
	go func() {
		for {
			select {
			case <-ended:
				return
			case <-changed:
			}
			cols, rows, err := xterm.GetSize(int(out.Fd()))
			if err != nil {
				continue
			}
			select {
			case told <- compute.Size{Rows: rows, Cols: cols}:
			case <-ended:
				return
			}
		}
	}()
	return told, func() {
		signal.Stop(changed)
		close(ended)
	}
}
