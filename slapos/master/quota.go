package master

import (
	"fmt"

	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/record"
)

// A Limit is how much a project, or one of its users, may have at once. 0: any number.
type Limit struct {
	Whose              string // in words
	User               bool   // it is the user's, and else of all in the project
	Partitions, Shared int    // partitions with an instance; shared instances
}

// within is the reason why a project or its user may have no more of a kind of instance; "": it
// may.
func (m *allocation) within(b ledger.View, n *record.Instance) (why string, err error) {
	p, writing := b.(*ledger.TxView)
	if m.opt.Limits == nil || !writing { // it will be asked again
		return "", nil
	}
	limits := m.opt.Limits(n.Project, n.Owner)
	if len(limits) == 0 {
		return "", nil
	}
	all, err := m.ledger.Usage(p, n.Project)
	if err != nil {
		return "", err
	}
	var whole ledger.Used
	for _, u := range all {
		whole.Partitions, whole.Shared = whole.Partitions+u.Partitions, whole.Shared+u.Shared
	}
	for _, l := range limits {
		has := whole
		if l.User {
			has = all[n.Owner]
		}
		switch {
		case !n.Shared && l.Partitions > 0 && has.Partitions >= l.Partitions:
			return fmt.Sprintf("%s has %d of %d partitions", l.Whose, has.Partitions, l.Partitions), nil
		case n.Shared && l.Shared > 0 && has.Shared >= l.Shared:
			return fmt.Sprintf("%s has %d of %d shared instances", l.Whose, has.Shared, l.Shared), nil
		}
	}
	return "", nil
}
