package flavor

import (
	"cmp"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/share"
)

// pack decides which request goes to which server. The result has for each request the index of a
// server, or -1 where none has room. The servers' bookings count and are not changed.
//
// Large requests go first, each to the first server with room. Size is tried in two ways: by cores
// and then memory, and by the largest share of anything. The fuller result is returned.
func pack(servers []*share.Space, requests []compute.Resources) []int {
	var most compute.Resources // the most that any server has free
	for _, s := range servers {
		free := s.Free()
		most.Cores, most.Memory, most.Disk, most.GPUs = max(most.Cores, free.Cores), max(most.Memory, free.Memory), max(most.Disk, free.Disk), max(most.GPUs, free.GPUs)
	}
	wishes := make([]wish, len(requests))
	for i, a := range requests {
		part := max(
			a.Cores/max(most.Cores, 1e-6), float64(a.Memory)/float64(max(most.Memory, 1)),
			float64(a.Disk)/float64(max(most.Disk, 1)), float64(a.GPUs)/float64(max(most.GPUs, 1)),
		)
		wishes[i] = wish{i, part, room{a.Micro(), a.Memory, a.Disk, a.GPUs, 0}}
	}
	slices.SortFunc(wishes, byCores)
	first := inOrder(servers, requests, wishes)
	if !slices.Contains(first, -1) {
		return first
	}
	slices.SortFunc(wishes, func(a, b wish) int { return cmp.Or(cmp.Compare(b.part, a.part), byCores(a, b)) })
	second := inOrder(servers, requests, wishes)
	if fuller(second, first, requests) {
		return second
	}
	return first
}

// wish is a request: its index, the largest share that it takes of anything, and its amount.
type wish struct {
	index int
	part  float64
	takes room
}

// byCores orders wishes by cores, then memory, disk and GPUs, the largest first. Equal ones keep
// the order of the requests.
func byCores(a, b wish) int {
	for _, c := range [...]int{
		cmp.Compare(b.takes.cores, a.takes.cores), cmp.Compare(b.takes.memory, a.takes.memory),
		cmp.Compare(b.takes.disk, a.takes.disk), b.takes.gpus - a.takes.gpus,
	} {
		if c != 0 {
			return c
		}
	}
	return a.index - b.index
}

// fuller reports whether a places more than b: more cores, and no fewer requests.
func fuller(a, b []int, requests []compute.Resources) bool {
	sum := func(where []int) (cores int64, n int) {
		for i, w := range where {
			if w >= 0 {
				cores, n = cores+requests[i].Micro(), n+1
			}
		}
		return cores, n
	}
	ca, na := sum(a)
	cb, nb := sum(b)
	return ca >= cb && na >= nb && (ca > cb || na > nb)
}

// inOrder places the wishes one after the other, each on the first server with room.
func inOrder(servers []*share.Space, requests []compute.Resources, wishes []wish) []int {
	r := newRooms(servers)
	where := make([]int, len(requests))
	refused := room{cores: -1}
	for _, w := range wishes {
		where[w.index] = -1
		if w.takes == refused {
			continue // an equal request found no room
		}
		if where[w.index] = r.book(0, &w.takes, requests[w.index]); where[w.index] < 0 {
			refused = w.takes
		}
	}
	return where
}

// rooms is a tree over servers. Each node has the most that any server below it has free of each
// thing. So the first server with room is found without trying all.
type rooms struct {
	spaces []share.Space
	leaves int // a power of two
	nodes  []room
}

type room struct {
	cores, memory, disk int64
	gpus, idle          int
}

// newRooms builds the tree as an array, with the children of node n at 2n+1 and 2n+2. Spare
// leaves have -1 of everything, so nothing fits there.
func newRooms(servers []*share.Space) *rooms {
	r := &rooms{leaves: 1}
	for r.leaves < len(servers) {
		r.leaves *= 2
	}
	r.nodes = make([]room, 2*r.leaves-1)
	for i := range r.nodes {
		r.nodes[i] = room{-1, -1, -1, -1, -1}
	}
	for i, s := range servers {
		r.spaces = append(r.spaces, *s)
		r.nodes[r.leaves-1+i] = roomOf(s)
	}
	for n := r.leaves - 2; n >= 0; n-- {
		r.nodes[n] = larger(r.nodes[2*n+1], r.nodes[2*n+2])
	}
	return r
}

func roomOf(s *share.Space) room {
	free := s.Free()
	return room{free.Micro(), free.Memory, free.Disk, free.GPUs, s.Idle()}
}

func larger(a, b room) room {
	return room{max(a.cores, b.cores), max(a.memory, b.memory), max(a.disk, b.disk), max(a.gpus, b.gpus), max(a.idle, b.idle)}
}

// may reports whether a request may fit below a node. If not, it fits on no server there.
func (r *room) may(w *room) bool {
	if r.memory < w.memory || r.disk < w.disk || r.gpus < w.gpus {
		return false
	}
	if w.cores > 0 {
		return r.cores >= w.cores
	}
	return r.idle > 0
}

// book books the request on the first server below a node that has room. It returns its index, or
// -1.
func (r *rooms) book(node int, w *room, a compute.Resources) int {
	if !r.nodes[node].may(w) {
		return -1
	}
	if leaf := node - (r.leaves - 1); leaf >= 0 {
		if leaf >= len(r.spaces) || !r.spaces[leaf].Book(a) {
			return -1
		}
		r.nodes[node] = roomOf(&r.spaces[leaf])
		return leaf
	}
	got := r.book(2*node+1, w, a)
	if got < 0 {
		got = r.book(2*node+2, w, a)
	}
	if got >= 0 {
		r.nodes[node] = larger(r.nodes[2*node+1], r.nodes[2*node+2])
	}
	return got
}
