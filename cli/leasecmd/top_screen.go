package leasecmd

import (
	"bytes"
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
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
