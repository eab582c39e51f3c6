package pool

import (
	"context"
	"encoding/json"
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

// factPromoted is the fact of an instance from a promoted image: the image, as a Spec asks for it.
const factPromoted = "promoted"

// readPromotions reads all of them, by source.
func readPromotions(tx store.Tx) (map[string]Promotion, error) {
	all := map[string]Promotion{}
	text, err := tx.Note(promotions)
	if errors.Is(err, compute.ErrNotFound) {
		return all, nil
	}
	if err == nil {
		err = json.Unmarshal([]byte(text), &all)
	}
	return all, err
}

func savePromotion(tx store.Tx, all map[string]Promotion, pr Promotion) error {
	all[pr.Source] = pr
	text, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return tx.SaveNote(promotions, string(text))
}

// counts reports whether a promotion is about a source as it is configured now.
func (pr Promotion) counts(s *Source) bool {
	return pr.Source == s.Name && pr.Place == s.Place && pr.Own == s.Image
}

// Promotions returns the promotions that count, by source.
func (p *Pool) Promotions(ctx context.Context) (map[string]Promotion, error) {
	return p.templates.promotions(ctx)
}

// promotions is Promotions.
func (p *templates) promotions(ctx context.Context) (map[string]Promotion, error) {
	all, err := RecordedPromotions(ctx, p.core.store)
	maps.DeleteFunc(all, func(name string, pr Promotion) bool {
		return p.core.sources[name] == nil || !pr.counts(p.core.sources[name])
	})
	return all, err
}

// RecordedPromotions returns all promotions in a store, by source, also those that no longer count
// since their source was changed.
func RecordedPromotions(ctx context.Context, s Store) (all map[string]Promotion, err error) {
	err = s.View(ctx, func(tx store.Tx) error {
		all, err = readPromotions(tx)
		return err
	})
	return all, err
}

// promoted returns the promotion of a source; the zero value: there is none.
func (p *templates) promoted(tx store.Tx, s *Source) (Promotion, error) {
	all, err := readPromotions(tx)
	if pr := all[s.Name]; err == nil && pr.counts(s) {
		return pr, nil
	}
	return Promotion{}, err
}

// Promote makes a source's instances come from an image from now on. RollOut replaces the ready
// ones.
func (p *Pool) Promote(ctx context.Context, name, image string) (Promotion, error) {
	s, id, err := p.templates.promotable(ctx, name, image)
	if err != nil {
		return Promotion{}, err
	}
	return p.templates.promote(ctx, s, func(now Promotion) (Promotion, error) {
		if now.Image == id {
			now.Name = image
			return now, nil
		}
		return now.to(Promoted{id, image}), nil
	}, "promoted")
}

// PromoteBack makes a source's instances come from the image before the promoted one.
func (p *Pool) PromoteBack(ctx context.Context, name string) (Promotion, error) {
	s, err := p.core.find(name)
	if err != nil {
		return Promotion{}, err
	}
	return p.templates.promote(ctx, s, func(now Promotion) (Promotion, error) {
		if len(now.Before) == 0 {
			return now, &compute.Error{
				ID: compute.ID(name), Kind: compute.ErrConflict,
				Err: errors.New("there is no image to go back to: none was promoted before"),
			}
		}
		return now.back(), nil
	}, "promotion taken back")
}

// to returns the promotion with another image in place of the present one.
func (pr Promotion) to(next Promoted) Promotion {
	before := append(slices.Clone(pr.Before), Promoted{pr.Image, pr.Name})
	pr.Before = before[max(0, len(before)-mostBefore):]
	pr.Image, pr.Name = next.Image, next.Name
	pr.Since, pr.Proved, pr.Failed, pr.Why = time.Now(), false, "", ""
	return pr
}

// back returns the promotion with the image before.
func (pr Promotion) back() Promotion {
	last := pr.Before[len(pr.Before)-1]
	pr.Before = pr.Before[:len(pr.Before)-1]
	pr.Image, pr.Name = last.Image, last.Name
	pr.Since, pr.Proved, pr.Failed, pr.Why = time.Now(), false, "", ""
	return pr
}

// promote changes a source's promotion in one transaction, with an event of kind if the image
// changes.
func (p *templates) promote(ctx context.Context, s *Source, change func(Promotion) (Promotion, error),
	kind string) (next Promotion, err error) {
	err = p.core.store.Update(ctx, func(tx store.Tx) error {
		all, err := readPromotions(tx)
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
			if _, err := tx.Append(&compute.Event{Time: time.Now(), Kind: kind, Source: s.Name, Text: next.title()}); err != nil {
				return err
			}
		}
		return savePromotion(tx, all, next)
	})
	if err == nil {
		p.core.step("promote:recorded")
	}
	return next, err
}

// title returns the image's name for people.
func (pr Promotion) title() string {
	if pr.Image == "" {
		return "its own image"
	}
	return pr.Name
}

// promotable returns the content that an image's name stands for now, if the source's provider
// makes computers from images.
func (p *templates) promotable(ctx context.Context, name, image string) (s *Source, id string, err error) {
	if s, err = p.core.find(name); err != nil {
		return nil, "", err
	}
	if s.Type == allocate.PoolType {
		return nil, "", &compute.Error{
			ID: compute.ID(name), Kind: compute.ErrInvalid, Err: errors.New("a pool makes no computers of its own"),
			Hint: "promote it for its sources",
		}
	}
	provider, err := p.providers.providerOf(ctx, name)
	if err != nil {
		return nil, "", err
	}
	if snap, ok := compute.As[compute.Snapshotter](provider); ok {
		if id, err = snap.ImageDigest(ctx, image, true); err == nil && !strings.HasPrefix(id, "sha256:") {
			id = image // a file of this machine's, which no digest asks for
		}
	} else {
		id, err = choice.Pick(ctx, provider, compute.Images, image, false)
	}
	if err != nil {
		return nil, "", &compute.Error{ID: compute.ID(name), Kind: fault.KindOf(err), Err: err}
	}
	return s, id, nil
}

// imageFor returns the promoted image for a source's new instances; "": the source's own.
func (p *templates) imageFor(ctx context.Context, s *Source) (image string, err error) {
	err = p.core.store.View(ctx, func(tx store.Tx) error {
		pr, err := p.promoted(tx, s)
		image = pr.Image
		return err
	})
	return image, err
}

// markPromoted notes on a new instance which promoted image it came from.
func markPromoted(i *compute.Instance, image string) {
	if image == "" {
		return
	}
	facts := map[string]string{factPromoted: image}
	maps.Copy(facts, i.Facts)
	i.Facts = facts
}

// MadeOf returns the image that an instance was made from in place of its source's own, chosen or
// promoted; "": none.
func MadeOf(i compute.Instance) string {
	if i.Facts[compute.FactChosen] != "" && i.Facts["image"] != "" {
		return i.Facts["image"]
	}
	return i.Facts[factPromoted]
}

// revertPromotion goes back from a promoted image if an instance of it did not become ready, as
// long as it has not proved good.
func (p *templates) revertPromotion(tx store.Tx, s *Source, image string, cause error) error {
	if image == "" || s == nil || errors.Is(cause, compute.ErrNoCapacity) || errors.Is(cause, compute.ErrStale) ||
		errors.Is(cause, context.Canceled) {
		return nil
	}
	all, err := readPromotions(tx)
	if err != nil {
		return err
	}
	now := all[s.Name]
	if !now.counts(s) || now.Image != image || now.Proved || len(now.Before) == 0 {
		return nil
	}
	next := now.back()
	next.Failed, next.Why = now.Name, compute.Said(cause)
	_, err = tx.Append(&compute.Event{
		Time: time.Now(), Kind: "promotion failed", Source: s.Name,
		Text: fmt.Sprintf("an instance of %s did not become ready, so it goes back to %s: %v", now.Name, next.title(), compute.Said(cause)),
	})
	if err != nil {
		return err
	}
	return savePromotion(tx, all, next)
}
