package master

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/record"
)

// Supply asks for a release on a computer, or for its removal. A removed one stays listed until its
// node reports that it is gone.
func (m *computers) Supply(ctx context.Context, who access.Who, computer, url, state string) error {
	if state == "" {
		state = proto.Available
	}
	if state != proto.Available && state != proto.Destroyed {
		return access.Invalid("state: %.80q is none of available, destroyed", state)
	}
	if err := cmp.Or(access.CheckName("url", url, access.MaxURL), access.CheckName("computer_id", computer, access.MaxID)); err != nil {
		return err
	}
	now := time.Now().UTC()
	return m.ledger.Do(ctx, func(b ledger.View) error {
		c, err := b.Computer(computer)
		if err != nil {
			return err
		}
		if err := who.Owns(computer, c); err != nil {
			return err
		}
		if c == nil && m.opt.Computer == "" {
			return access.UnknownComputer(computer)
		}
		was, err := b.Supply(computer, url)
		if err != nil || was != nil && was.State == state {
			return err
		}
		s := record.Supply{Computer: computer, URL: url, Created: now, Order: m.ledger.Stamp(0)}
		if was != nil {
			s = *was
		}
		s.State = state
		return b.Save(ledger.SupplyEntry(&s))
	})
}

// Supplies are the releases to be built or removed on a computer.
func (m *computers) Supplies(ctx context.Context, who access.Who, computer string) ([]record.Supply, error) {
	if err := m.ledger.Refresh(ctx); err != nil {
		return nil, err
	}
	mem, done := m.ledger.RLock()
	defer done()
	seen := mem.Computers[computer]
	if seen == nil {
		return nil, cmp.Or(who.Speaks(computer), access.UnknownComputer(computer))
	}
	if err := who.Owns(computer, seen.Record); err != nil {
		return nil, err
	}
	var all []record.Supply
	for _, s := range Ordered(seen.Supplies) {
		all = append(all, *s)
	}
	return all, nil
}

// ReleaseDestroyed is what a node says when a release is no more on it.
func (m *computers) ReleaseDestroyed(ctx context.Context, who access.Who, computer, url string) error {
	if err := who.Speaks(computer); err != nil {
		return err
	}
	return m.ledger.Do(ctx, func(b ledger.View) error {
		was, err := b.Supply(computer, url)
		if err != nil {
			return err
		}
		if was == nil {
			return nil
		}
		if was.State != proto.Destroyed {
			return access.Refuse(compute.ErrNotFound, "The release %s is not to be destroyed on %s.", url, computer)
		}
		if err := b.Save(ledger.Deletion(record.KindSupply, ledger.Key(computer, url))); err != nil {
			return err
		}
		return DropStatus(b, SupplyStatusKey(computer, url))
	})
}

// Releases are those of a software product, the best first. Give the product's name, or the URL of
// one of its releases, not both.
func (m *computers) Releases(product, url string) ([]string, error) {
	if (product == "") == (url == "") {
		return nil, access.Invalid("exactly one of software_product_reference and software_release_url is wanted")
	}
	for _, p := range m.opt.Products {
		if product != "" && p.Name == product || url != "" && slices.Contains(p.URLs, url) {
			return slices.Clone(p.URLs), nil
		}
	}
	return nil, nil
}
