package pooltest

import (
	"cmp"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
	"github.com/hostler-project/hostler/pool/state"
)

// Whose turn it is, judged from what the store was told, by the rules of docs/queue.md written down
// a second time.

// patience is how many later requests may go before the one that has waited longest: docs/queue.md.
const patience = 7

// turns is the queue as it stands before a transaction: those who wait, and what projects have and
// are being given.
type turns struct {
	waiting []inventory.Waiter
	held    map[[2]string]compute.Capacity // by project and owner, and with the owner "" by project
}

// turns copies the queue. Of those who do not wait any more, or whose process died, nobody knows
// when they are out of it.
func (l *ledger) turns() (t turns) {
	for _, id := range slices.Sorted(idsOfWaiters(l.waiters)) {
		if l.waits(l.waiters[id]) {
			t.waiting = append(t.waiting, *l.waiters[id])
		}
	}
	t.held = map[[2]string]compute.Capacity{}
	add := func(project, owner string, c compute.Capacity) {
		for _, k := range [][2]string{{project, owner}, {project, ""}} {
			t.held[k] = t.held[k].Add(c)
		}
	}
	for _, id := range keys(l.leases) {
		if le := l.leases[id]; le.Pool == "" {
			add(le.Project, le.Owner, le.Holds)
		}
	}
	for _, id := range keys(l.insts) {
		i := l.insts[id]
		if i.State == compute.Held || (i.State == compute.Creating || i.State == compute.SettingUp) && i.Wanted != "" {
			add(i.Booked.Project, i.Booked.Owner, i.Booked.Holds)
		}
	}
	return t
}

func idsOfWaiters(m map[int64]*inventory.Waiter) func(func(int64) bool) {
	return func(yield func(int64) bool) {
		for id := range m {
			if !yield(id) {
				return
			}
		}
	}
}

// waits tells whether somebody waits for what a request in the queue asks for.
func (l *ledger) waits(w *inventory.Waiter) bool {
	p := l.owners[w.ID]
	return !p.dead.Load() && p.desk.Has(state.RequestKey(w.ID))
}

// before returns those whose turn comes before a request's, and who are not kept from it by a
// quota, in their order; and whether one of the others keeps the request from its turn, as the
// quota that he waits for is the request's too.
func (t turns) before(w inventory.Waiter, projects func(string) pool.Project) (out []inventory.Waiter, kept bool) {
	all := slices.DeleteFunc(slices.Clone(t.waiting), func(o inventory.Waiter) bool { return o.ID == w.ID })
	all = append(all, w)
	oldest := map[int64]int64{}
	for _, o := range all {
		for _, key := range o.Wants {
			if was, ok := oldest[key]; !ok || o.ID < was {
				oldest[key] = o.ID
			}
		}
	}
	late := func(o inventory.Waiter) bool {
		return o.Passed >= patience && slices.ContainsFunc(o.Wants, func(k int64) bool { return oldest[k] == o.ID })
	}
	load := map[string]float64{}
	for _, o := range all {
		h := t.held[[2]string{o.Project, ""}]
		load[o.Project] = max(h.Cores, float64(h.Count))
	}
	full := map[string]bool{}
	for len(all) > 0 {
		next := slices.MinFunc(all, func(a, b inventory.Waiter) int {
			switch {
			case late(a) != late(b):
				return map[bool]int{true: -1, false: 1}[late(a)]
			case late(a):
				return cmp.Compare(a.ID, b.ID)
			case a.Priority != b.Priority:
				return -cmp.Compare(a.Priority, b.Priority)
			}
			share := func(o inventory.Waiter) float64 { return load[o.Project] / cmp.Or(projects(o.Project).Weight, 1) }
			return cmp.Or(cmp.Compare(share(a), share(b)), cmp.Compare(a.ID, b.ID))
		})
		if next.ID == w.ID {
			return out, full[w.Project] || full[w.Project+"/"+w.Owner]
		}
		all = slices.DeleteFunc(all, func(o inventory.Waiter) bool { return o.ID == next.ID })
		load[next.Project] += float64(next.Count)
		pr := projects(next.Project)
		kept := false
		for _, q := range []struct {
			key   string
			owner string
			most  int
		}{{next.Project, "", pr.Quota.Count}, {next.Project + "/" + next.Owner, next.Owner, pr.Users.Count}} {
			if !kept && q.most > 0 && (full[q.key] || t.held[[2]string{next.Project, q.owner}].Count+next.Count > q.most) {
				full[q.key], kept = true, true
			}
		}
		if kept = kept || full[next.Project] || full[next.Project+"/"+next.Owner]; !kept {
			out = append(out, next)
		}
	}
	return out, false
}

// turnOf judges that a request took nothing that somebody waits for whose turn comes before. What
// was cached is taken when its lease is made, what was not when its record is.
func (l *ledger) turnOf(p *process, did []any, before map[compute.ID]compute.State, leaves map[int64]*inventory.Waiter, t turns) {
	took := map[int64]compute.ID{} // by the record of the source
	cached := map[int64]bool{}
	var by *user
	for _, d := range did {
		switch d := d.(type) {
		case lent:
			if s := before[d.l.Instance]; s == compute.Creating || s == compute.SettingUp {
				continue
			}
			if i := l.insts[d.l.Instance]; i != nil {
				took[i.SourceKey], cached[i.SourceKey] = i.ID, true
			}
			by = cmp.Or(by, l.w.user(d.l.Owner))
		case appended:
			if i := l.insts[d.e.Instance]; d.e.Kind == "creating" && i != nil {
				took[i.SourceKey] = i.ID
				by = cmp.Or(by, l.w.user(d.e.Owner))
			}
		}
	}
	if by == nil || by.asks == nil || len(took) == 0 {
		return
	}
	own := inventory.Waiter{
		ID: 1<<63 - 1, Source: by.asks.Source, Count: by.asks.Count, Owner: by.name, Project: by.asks.Project,
		Priority: by.asks.Priority,
	}
	for _, w := range leaves {
		if w != nil && w.Owner == by.name && l.owners[w.ID] == p {
			own = *w
		}
	}
	if own.Wants == nil {
		own.Wants = l.w.wants(own.Source)
	}
	earlier, _ := t.before(own, l.w.project)
	for _, w := range earlier {
		if l.waiters[w.ID] == nil || l.owners[w.ID].dead.Load() {
			continue
		}
		for _, key := range w.Wants {
			// who cannot have a new one leaves it to others
			if id, ok := took[key]; ok &&
				(cached[key] ||
					!l.stuck(key, wishOf(w.Asks, w.Memory), time.Now()) &&
						!l.tried(key, wishOf(w.Asks, w.Memory), wish{by.asks.Memory, by.asks.GPUs}, before, time.Now())) {
				l.w.sched.fail(
					"%s took %s for %s (request %d), for which request %d of %s in %q waits before it", by.name, id,
					own.Source, own.ID, w.ID, w.Owner, w.Project,
				)
			}
		}
	}
}

// wants are the records of a source and of all below it, as far as they are known.
func (w *world) wants(name string) (out []int64) {
	for key, r := range w.recs {
		if r.Name == name {
			out = append(out, key)
		}
	}
	slices.Sort(out)
	for _, c := range w.source(name).Children {
		out = append(out, w.wants(c)...)
	}
	return out
}

func (w *world) user(name string) *user {
	for _, u := range w.users {
		if u.name == name {
			return u
		}
	}
	return nil
}

// quotas judges that nobody has more than he may have.
func (l *ledger) quotas() {
	t := l.turns()
	for k, c := range t.held {
		pr := l.w.project(k[0])
		most := pr.Users.Count
		if k[1] == "" {
			most = pr.Quota.Count
		}
		if most > 0 && c.Count > most {
			l.w.sched.fail("%q in project %q has %d, and may have %d", k[1], k[0], c.Count, most)
		}
	}
}

// starving judges that a request for which there is enough, and before which nobody comes who wants
// the same, does not wait on.
func (l *ledger) starving() {
	if len(l.waiters) == 0 {
		return
	}
	now := time.Now()
	t := l.turns()
	for id := range l.hungry {
		if l.waiters[id] == nil {
			delete(l.hungry, id)
		}
	}
	for _, w := range t.waiting {
		s := l.w.source(w.Source)
		earlier, kept := t.before(w, l.w.project)
		ready, present := 0, 0
		for _, i := range l.insts {
			if i.Source == s.Name {
				if i.State == compute.Ready {
					ready++
				}
				if i.State != compute.Held {
					present++
				}
			}
		}
		most := s.Maximum
		if n := len(s.names); n > 0 && (most == 0 || n < most) {
			most = n
		}
		first := s.cloud != nil && !kept && !l.w.over(t, w) && wishOf(w.Asks, w.Memory) == wish{}
		room := len(s.names) == 0 && (most == 0 || most-present >= w.Count)
		for _, o := range earlier {
			first = first && !slices.ContainsFunc(o.Wants, func(k int64) bool {
				return slices.Contains(w.Wants, k) && !(room && l.stuck(k, wishOf(o.Asks, o.Memory), now))
			})
		}
		for _, r := range l.recs {
			if r.Name == s.Name && r.Paused.After(now) {
				first = false
			}
		}
		if !first || len(s.names) > 0 && ready < w.Count || most > 0 && ready+most-present < w.Count {
			delete(l.hungry, w.ID)
			continue
		}
		if since, ok := l.hungry[w.ID]; !ok {
			l.hungry[w.ID] = now
		} else if now.Sub(since) > 8*time.Second && !dark(l.w, s) && l.w.Weather.Sick == 0 {
			l.w.sched.fail("waiter %d for %d of %s could be served since %v", w.ID, w.Count, s.Name, since.Sub(l.w.sched.start))
		}
	}
}

// over tells whether a request is kept from what it wants by a quota.
func (w *world) over(t turns, of inventory.Waiter) bool {
	pr := w.project(of.Project)
	return pr.Quota.Count > 0 && t.held[[2]string{of.Project, ""}].Count+of.Count > pr.Quota.Count ||
		pr.Users.Count > 0 && t.held[[2]string{of.Project, of.Owner}].Count+of.Count > pr.Users.Count
}
