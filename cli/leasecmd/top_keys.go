package leasecmd

import (
	"context"
	"os"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

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

// TopWish says how the user wants to see the view.
type TopWish struct {
	Sort   int // an index of topSorts
	Filter string
	Typing bool // the user is typing the filter
	Paused bool
	help   bool
}

const topHelp = "q quit   space pause   s sort leases   / filter   esc no filter   h help"
