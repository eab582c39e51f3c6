package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/config"
	"github.com/hostler-project/hostler/controller/exclusive"
	"github.com/hostler-project/hostler/controller/webhook"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/version"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/store"
	"github.com/hostler-project/hostler/text/nearest"
)

// hooking is a section [webhook NAME] of hostler.conf.
type hooking struct {
	URL      string        `conf:"url,required"`    // or a reference to it
	Secret   string        `conf:"secret,required"` // a reference
	Events   []string      `conf:"events"`          // patterns of kinds, with * and ?; none: all
	Sources  []string      `conf:"sources"`         // patterns of sources; none: all
	Projects []string      `conf:"projects"`        // projects; none: all
	Timeout  time.Duration `conf:"timeout"`         // of a delivery; 0: 10 s
	Plain    bool          `conf:"plain"`           // http:// to other machines is allowed
}

// readHooks returns the webhooks of a configuration, by name.
func readHooks(ctx context.Context, cfg *config.Config) (out []webhook.Hook, err error) {
	for title, section := range cfg.Sections {
		name, ok := strings.CutPrefix(title, "webhook ")
		if !ok {
			continue
		}
		var h hooking
		settings, at := host.SectionOf(section)
		if err := config.Decode(settings, at, &h); err != nil {
			return nil, host.ConfigError(fmt.Errorf("[%s]: %w", title, err))
		}
		if !config.IsReference(h.Secret) {
			return nil, fault.Invalid(
				"secret = file:PATH, env:NAME or command:WORDS; and change the secret, as it stands in a file that others may read",
				"[%s]: secret: it is to be said where it stands, and not what it is", title,
			)
		}
		hidden := config.IsReference(h.URL)
		if hidden {
			if h.URL, err = config.Secret(ctx, h.URL); err != nil {
				return nil, host.ConfigError(fmt.Errorf("[%s]: url: %w", title, err))
			}
		}
		made := webhook.Hook{Name: strings.TrimSpace(name), URL: h.URL, Events: h.Events, Sources: h.Sources,
			Projects: h.Projects, Timeout: h.Timeout, Plain: h.Plain, Hidden: hidden,
			Secret: func(ctx context.Context) (string, error) {
				s, err := config.Secret(ctx, h.Secret)
				if err == nil && len(s) < 16 {
					err = fmt.Errorf("%s: %d characters are no secret: at least 16", h.Secret, len(s))
				}
				return s, err
			}}
		if err := made.Check(); err != nil {
			hint := "docs/watching.md has all keys"
			if no := (*webhook.NoKind)(nil); errors.As(err, &no) {
				if meant := nearest.Near(no.Pattern, webhook.Kinds()); meant != "" {
					hint = "did you mean " + meant + "?"
				}
			}
			return nil, fault.Invalid(hint, "[%s]: %w", title, err)
		}
		for _, project := range made.Projects {
			if _, err := cfg.Project(project); err != nil {
				return nil, host.ConfigError(fmt.Errorf("[%s]: projects: %w", title, err))
			}
		}
		out = append(out, made)
	}
	slices.SortFunc(out, func(a, b webhook.Hook) int { return cmp.Compare(a.Name, b.Name) })
	return out, nil
}

// hookJournal is an engine's journal, with the positions of webhooks in its store.
type hookJournal struct {
	inventory.Book
	store pool.Store
}

// newHookJournal returns the journal of a book, with positions in a store.
func newHookJournal(book inventory.Book, store pool.Store) *hookJournal {
	return &hookJournal{book, store}
}

// newHooked returns the receivers of events for the API.
func newHooked(hooks []webhook.Hook, journal *hookJournal, sender *webhook.Sender) *hooked {
	return &hooked{hooks, journal, sender}
}

// noteOf returns the key of a webhook's position in the store.
func noteOf(hook string) string { return "webhook:" + hook }

func (j *hookJournal) Position(ctx context.Context, hook string) (p webhook.Position, err error) {
	err = j.store.View(ctx, func(tx store.Tx) error {
		p = webhook.Position{}
		found, err := store.ReadNote(tx, noteOf(hook), &p)
		if err == nil && !found {
			err = &compute.Error{ID: compute.ID(hook), Kind: compute.ErrNotFound}
		}
		return err
	})
	return p, err
}

func (j *hookJournal) Keep(ctx context.Context, hook string, p webhook.Position) error {
	return j.store.Update(ctx, func(tx store.Tx) error {
		var old webhook.Position
		if _, err := store.ReadNote(tx, noteOf(hook), &old); err != nil || old.After > p.After {
			return err // another process is ahead, or the webhook was told to skip
		}
		return store.WriteNote(tx, noteOf(hook), p)
	})
}

// sender returns the sender for the webhooks of a configuration.
func (k *controller) sender(now *served, t *exclusive.Task) *webhook.Sender {
	return webhook.New(webhook.Options{
		Hooks: now.hooks, Journal: &hookJournal{now.engine, k.Host.Store()}, Installation: k.Host.Store().Installation(),
		Version: version.Read().Version, Log: k.Log,
		Observe: k.metrics.countDelivery, Guard: now.guard,
		Leads: func() bool { return k.leadsBy(t) },
	})
}

// deliverWebhooks sends events to the webhooks of the current configuration until ctx ends.
func (k *controller) deliverWebhooks(ctx context.Context) {
	for ctx.Err() == nil {
		now := k.now.Load()
		short, cancel := context.WithCancel(ctx)
		var all sync.WaitGroup
		t := &exclusive.Task{Row: exclusive.Webhooks}
		if len(now.hooks) > 0 {
			all.Go(func() { k.sender(now, t).Run(short) })
		}
		select {
		case <-ctx.Done():
		case <-now.over:
		}
		cancel()
		all.Wait()
		t.Release()
	}
}

// hooked is the server.Webhooks of a controller.
type hooked struct {
	hooks   []webhook.Hook
	journal *hookJournal
	sender  *webhook.Sender
}

func (k *controller) hooked() *hooked {
	now := k.now.Load()
	return &hooked{now.hooks, &hookJournal{now.engine, k.Host.Store()}, k.sender(now, &exclusive.Task{Row: exclusive.Webhooks})}
}

// List returns the webhooks and how far each has come.
func (h *hooked) List(ctx context.Context) (out []api.Webhook, err error) {
	for _, one := range h.hooks {
		w := api.Webhook{Name: one.Name, URL: one.Where(), Events: one.Events, Sources: one.Sources, Projects: one.Projects}
		p, err := h.journal.Position(ctx, one.Name)
		if err != nil && !errors.Is(err, compute.ErrNotFound) {
			return nil, err
		}
		w.After, w.Delivered, w.Last, w.Failures, w.Since, w.Error, w.Retry = p.After, p.Delivered, p.Last, p.Failures, p.Since,
			p.Error, p.Retry
		out = append(out, w)
	}
	return out, nil
}

func (h *hooked) find(name string) (webhook.Hook, error) {
	var names []string
	for _, one := range h.hooks {
		if one.Name == name {
			return one, nil
		}
		names = append(names, one.Name)
	}
	hint := cmp.Or(term.DidYouMean(name, names, ""), "hostler webhook list; a section [webhook "+name+"] of hostler.conf makes one")
	return webhook.Hook{}, &compute.Error{ID: compute.ID(name), Kind: compute.ErrNotFound, Err: errors.New("no such webhook"), Hint: hint}
}

// Test makes a delivery without an event.
func (h *hooked) Test(ctx context.Context, name string) (api.WebhookTest, error) {
	one, err := h.find(name)
	if err != nil {
		return api.WebhookTest{}, err
	}
	status, took, err := h.sender.Test(ctx, one)
	out := api.WebhookTest{Name: name, Status: status, Took: took.Seconds()}
	if err != nil {
		out.Error = term.ErrorText(err)
	}
	return out, nil
}

// Skip drops the events that a webhook was not told of yet.
func (h *hooked) Skip(ctx context.Context, name string) error {
	if _, err := h.find(name); err != nil {
		return err
	}
	return h.sender.Skip(ctx, name)
}
