package leasecmd

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"

	xterm "golang.org/x/term"
)

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
