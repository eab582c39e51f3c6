package servercmd

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
)

// listWebhooks prints the webhooks and how their deliveries went.
func listWebhooks(a *cli.App, ctx context.Context) error {
	w, err := webhooks(a, ctx)
	if err != nil {
		return err
	}
	all, err := w.List(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.PrintJSON(append([]api.Webhook{}, all...))
	}
	rows := make([][]string, len(all))
	for i, h := range all {
		rows[i] = []string{h.Name, term.Line(h.URL), strconv.FormatInt(h.Delivered, 10), lastTold(h.Last), hookNote(h, time.Now())}
	}
	return a.Table([]string{"webhook", "url", "told", "last", "note"}, rows)
}

// lastTold says how long ago a time is, for the user.
func lastTold(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return term.ShortDuration(time.Since(t)) + " ago"
}

// hookNote describes what is unusual about a webhook.
func hookNote(h api.Webhook, now time.Time) string {
	if h.Failures == 0 {
		return ""
	}
	note := fmt.Sprintf("not taken for %s, %d times: %s", term.ShortDuration(now.Sub(h.Since)), h.Failures, term.Line(h.Error))
	if h.Retry.After(now) {
		note += "; again in " + term.ShortDuration(h.Retry.Sub(now))
	}
	return note
}
