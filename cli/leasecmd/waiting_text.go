package leasecmd

import (
	"context"
	"fmt"
	"strings"

	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
)

// progressText describes the progress of a request, for a terminal.
func progressText(p compute.Progress) string {
	switch p.Phase {
	case "create":
		return fmt.Sprintf("making %s", p.Instance)
	case "connect":
		if p.Reason != "" {
			return fmt.Sprintf("%s: waiting until it answers: %s", p.Instance, term.Line(p.Reason))
		}
		return fmt.Sprintf("%s: waiting until it answers", p.Instance)
	case "set-up":
		return fmt.Sprintf("%s: setting up", p.Instance)
	}
	return ""
}

// text returns the line that says why the request waits.
func (w *waiting) text(ctx context.Context) string {
	users, mine := w.users(ctx)
	w.mu.Lock()
	place := w.place
	w.mu.Unlock()
	text := w.req.Source + ": waiting"
	if w.req.Count > 1 {
		text += fmt.Sprintf(" for %d", w.req.Count)
	}
	if w.req.Wait > 0 {
		text += " up to " + term.TypedDuration(w.req.Wait)
	}
	at := ""
	if place.Position > 1 {
		at = fmt.Sprintf("position %d", place.Position)
	}
	away := place.Unreachable // its return cannot be estimated
	switch s := term.AboutDuration(place.Estimate); {
	case mine != "" || place.Position == 0 || away:
	case s != "":
		at = strings.TrimPrefix(at+", about "+s, ", ")
	default:
		at = strings.TrimPrefix(at+", for how long is "+term.UnknownYet, ", ")
	}
	for _, s := range []string{term.Line(place.Reason), at} {
		switch {
		case s == "":
		case away && s != at:
			users = append([]string{s}, users...)
		default:
			users = append(users, s)
		}
	}
	if len(users) > 0 {
		text += ": " + strings.Join(users, ", ")
	}
	// otherwise others may end the wait, as with a quota or a lost cluster
	if mine != "" && place.Reason == "" {
		text += ": all of them yours, and waiting gives none back; `hostler release " + term.Line(mine) + "` does"
	}
	return text
}

// say prints a text, unless it was the last one printed.
func (w *waiting) say(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if text != "" && text != w.said {
		w.said = text
		_ = term.Printf(w.app.Err, "%s: %s\n", w.app.Program, text)
	}
}
