package leasecmd

import (
	"context"
	"time"

	"github.com/hostler-project/hostler/cli/term"
)

// seen reports whether somebody sees the progress as it changes.
func (w *waiting) seen() bool {
	return !w.app.Quiet && !w.app.Compat && term.IsTerminal(w.app.Err)
}

// slow prints what is being made for the request, if that takes longer than a moment.
func (w *waiting) slow(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(sayAfter):
		w.mu.Lock()
		making := w.making
		w.mu.Unlock()
		if w.seen() {
			w.say(progressText(making))
		}
	}
}
