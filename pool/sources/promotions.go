package sources

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/pool/allocate"
	"github.com/hostler-project/hostler/pool/choice"
	"github.com/hostler-project/hostler/pool/state"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/store"
)

// Promotion says which image a source's instances come from in place of its own. It is kept in the
// store. It counts as long as the source's definition names the same image as it did then.
type Promotion struct {
	Source string     `json:"source"`
	Image  string     `json:"image"`            // as a Spec asks for it; "": the source's own again
	Name   string     `json:"name"`             // as it was called
	Since  time.Time  `json:"since"`            // when it was promoted, or gone back to
	Before []Promoted `json:"before,omitempty"` // earlier promotions, the last one at the end
	// all ready instances came from it at some time
	Proved bool `json:"proved"`
	// the name of the image that was given up, since its instances did not become ready
	Failed string `json:"failed,omitempty"`
	Why    string `json:"why,omitempty"` // why they did not

	Place string `json:"place"` // of the definition
	Own   string `json:"own"`   // its image
}

// Promoted is an image that was promoted before.
type Promoted struct {
	Image string `json:"image"`
	Name  string `json:"name"`
}

const (
	promotions = "promotions" // the note with all of them
	mostBefore = 10           // images of a source that can be gone back to
)

// ReadPromotions reads all of them, by source.
func ReadPromotions(tx store.Tx) (map[string]Promotion, error) {
	all := map[string]Promotion{}
	_, err := store.ReadNote(tx, promotions, &all)
	return all, err
}

func SavePromotion(tx store.Tx, all map[string]Promotion, pr Promotion) error {
	all[pr.Source] = pr
	return store.WriteNote(tx, promotions, all)
}

// counts reports whether a promotion is about a source as it is configured now.
func (pr Promotion) counts(s *allocate.Source) bool {
	return pr.Source == s.Name && pr.Place == s.Place && pr.Own == s.Image
}

// Promotions returns the promotions that count, by source.
func (p *Templates) Promotions(ctx context.Context) (map[string]Promotion, error) {
	all, err := RecordedPromotions(ctx, p.core.Store)
	maps.DeleteFunc(all, func(name string, pr Promotion) bool {
		return p.core.Sources[name] == nil || !pr.counts(p.core.Sources[name])
	})
	return all, err
}

// RecordedPromotions returns all promotions in a store, by source, also those that no longer count
// since their source was changed.
func RecordedPromotions(ctx context.Context, s state.Store) (all map[string]Promotion, err error) {
	err = s.View(ctx, func(tx store.Tx) error {
		all, err = ReadPromotions(tx)
		return err
	})
	return all, err
}

// Promoted returns the promotion of a source; the zero value: there is none.
func (p *Templates) Promoted(tx store.Tx, s *allocate.Source) (Promotion, error) {
	all, err := ReadPromotions(tx)
	if pr := all[s.Name]; err == nil && pr.counts(s) {
		return pr, nil
	}
	return Promotion{}, err
}

// To returns the promotion with another image in place of the present one.
func (pr Promotion) To(next Promoted) Promotion {
	before := append(slices.Clone(pr.Before), Promoted{pr.Image, pr.Name})
	pr.Before = before[max(0, len(before)-mostBefore):]
	pr.Image, pr.Name = next.Image, next.Name
	pr.Since, pr.Proved, pr.Failed, pr.Why = time.Now(), false, "", ""
	return pr
}

// Back returns the promotion with the image before.
func (pr Promotion) Back() Promotion {
	last := pr.Before[len(pr.Before)-1]
	pr.Before = pr.Before[:len(pr.Before)-1]
	pr.Image, pr.Name = last.Image, last.Name
	pr.Since, pr.Proved, pr.Failed, pr.Why = time.Now(), false, "", ""
	return pr
}

// Promote changes a source's promotion in one transaction, with an event of kind if the image
// changes.
func (p *Templates) Promote(ctx context.Context, s *allocate.Source, change func(Promotion) (Promotion, error),
	kind string) (next Promotion, err error) {
	err = p.core.Store.Update(ctx, func(tx store.Tx) error {
		all, err := ReadPromotions(tx)
		if err != nil {
			return err
		}
		now, ok := all[s.Name]
		if !ok || !now.counts(s) {
			now = Promotion{Source: s.Name, Place: s.Place, Own: s.Image, Name: s.Image}
		}
		if next, err = change(now); err != nil {
			return err
		}
		if next.Image != now.Image {
			if _, err := tx.Append(&compute.Event{Time: time.Now(), Kind: kind, Source: s.Name, Text: next.Title()}); err != nil {
				return err
			}
		}
		return SavePromotion(tx, all, next)
	})
	if err == nil {
		p.core.Step("promote:recorded")
	}
	return next, err
}

// Title returns the image's name for people.
func (pr Promotion) Title() string {
	if pr.Image == "" {
		return "its own image"
	}
	return pr.Name
}

// Promotable returns the content that an image's name stands for now, if the source's provider
// makes computers from images.
func (p *Templates) Promotable(ctx context.Context, name, image string) (s *allocate.Source, id string, err error) {
	if s, err = p.core.Find(name); err != nil {
		return nil, "", err
	}
	if s.Type == allocate.PoolType {
		return nil, "", &compute.Error{
			ID: compute.ID(name), Kind: compute.ErrInvalid, Err: errors.New("a pool makes no computers of its own"),
			Hint: "promote it for its sources",
		}
	}
	o, err := p.providers.OpenedOf(ctx, name)
	if err != nil {
		return nil, "", err
	}
	if snap := o.Snapshots.Snapshotter; snap != nil {
		if id, err = snap.ImageDigest(ctx, image, true); err == nil && !strings.HasPrefix(id, "sha256:") {
			id = image // a file of this machine's, which no digest asks for
		}
	} else {
		id, err = choice.Pick(ctx, o.Choice.Chooser, provider.Images, image, false)
	}
	if err != nil {
		return nil, "", &compute.Error{ID: compute.ID(name), Kind: fault.KindOf(err), Err: err}
	}
	return s, id, nil
}

// ImageFor returns the promoted image for a source's new instances; "": the source's own.
func (p *Templates) ImageFor(ctx context.Context, s *allocate.Source) (image string, err error) {
	err = p.core.Store.View(ctx, func(tx store.Tx) error {
		pr, err := p.Promoted(tx, s)
		image = pr.Image
		return err
	})
	return image, err
}

// RevertPromotion goes back from a promoted image if an instance of it did not become ready, as
// long as it has not proved good.
func (p *Templates) RevertPromotion(tx store.Tx, s *allocate.Source, image string, cause error) error {
	if image == "" || s == nil || errors.Is(cause, compute.ErrNoCapacity) || errors.Is(cause, compute.ErrStale) ||
		errors.Is(cause, context.Canceled) {
		return nil
	}
	all, err := ReadPromotions(tx)
	if err != nil {
		return err
	}
	now := all[s.Name]
	if !now.counts(s) || now.Image != image || now.Proved || len(now.Before) == 0 {
		return nil
	}
	next := now.Back()
	next.Failed, next.Why = now.Name, fault.Message(cause)
	_, err = tx.Append(&compute.Event{
		Time: time.Now(), Kind: "promotion failed", Source: s.Name,
		Text: fmt.Sprintf("an instance of %s did not become ready, so it goes back to %s: %v", now.Name, next.Title(),
			fault.Message(cause)),
	})
	if err != nil {
		return err
	}
	return SavePromotion(tx, all, next)
}

// Renewal is why old instances are replaced: a promoted image, or else a change of what they are
// made of.
type Renewal struct {
	Promotion
	Now state.MakeNote
}

// Kind names the cause of a roll-out.
func (by Renewal) Kind() string {
	switch {
	case by.Source != "":
		return "the promoted image"
	case by.Now.Changed == "": // an older hostler made them
		return "the configuration of now"
	}
	return "the changed " + by.Now.Changed
}

func (by Renewal) From() string {
	if by.Source == "" {
		return by.Kind()
	}
	return by.Title()
}

const (
	// how often a provider is asked whether it can make instances after it could not
	probeEvery    = time.Minute
	probePatience = 20 * time.Second
)

// Hopeless asks a Prober whether it could make no instance of the present make, for another reason
// than a lack of room.
func (p *Templates) Hopeless(ctx context.Context, s *allocate.Source, by Renewal) (bool, error) {
	o := p.providers.Ready(p.core.KeyOf(s))
	if o == nil || o.Provider == nil {
		return true, nil
	}
	if o.Prober == nil {
		return false, nil
	}
	p.core.Mu.Lock()
	early := time.Since(p.core.At(s).Probed) < probeEvery
	if !early {
		p.core.At(s).Probed = time.Now()
	}
	p.core.Mu.Unlock()
	if early {
		return true, nil
	}
	asking, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	_, err := o.Prober.Probe(asking, compute.Spec{Source: s.Name, Image: s.Image, Flavor: s.Flavor})
	switch {
	case err == nil, errors.Is(err, compute.ErrNoCapacity):
		// it can be known only after one has gone
		return false, nil
	case ctx.Err() != nil:
		return true, ctx.Err()
	case errors.Is(err, compute.ErrUnavailable), errors.Is(err, compute.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		// that says nothing of the change
		return true, nil
	}
	return true, p.core.Store.Update(ctx, func(tx store.Tx) error { return p.recordUnmakeable(tx, p.core.KeyOf(s), by.Now.Template, err) })
}
