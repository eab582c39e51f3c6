package flavor_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/share"
	"github.com/hostler-project/hostler/provider/flavor"
)

// plain is the rule that is to be met: large requests first, by cores, then memory, then disk, each
// on the first server with room.
func plain(servers []*share.Space, requests []compute.Resources) []int {
	turn := make([]int, len(requests))
	for i := range turn {
		turn[i] = i
	}
	slices.SortStableFunc(turn, func(i, j int) int {
		a, b := requests[i], requests[j]
		return cmp.Or(
			cmp.Compare(b.Micro(), a.Micro()), cmp.Compare(b.Memory, a.Memory), cmp.Compare(b.Disk, a.Disk),
			cmp.Compare(b.GPUs, a.GPUs),
		)
	})
	where := make([]int, len(requests))
	for _, i := range turn {
		where[i] = slices.IndexFunc(servers, func(s *share.Space) bool { return s.Book(requests[i]) })
	}
	return where
}

func booked(where []int, requests []compute.Resources) (sum compute.Resources, n int) {
	for i, w := range where {
		if w >= 0 {
			sum, n = sum.Plus(requests[i]), n+1
		}
	}
	return sum, n
}

// TestPack holds Pack to the plain rule: what it says can be booked, on servers that it left alone,
// and is as much or more.
func TestPack(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		amount := rapid.Custom(func(t *rapid.T) compute.Resources {
			return compute.Resources{Cores: rapid.SampledFrom([]float64{0, 0.1, 0.3, 1, 2, 4}).Draw(t, "cores"),
				Memory: rapid.Int64Range(0, 9).Draw(t, "memory"),
				Disk:   rapid.Int64Range(0, 5).Draw(t, "disk"), GPUs: rapid.IntRange(0, 1).Draw(t, "gpus")}
		})
		sizes := rapid.SliceOfN(amount, 0, 9).Draw(t, "servers")
		requests := rapid.SliceOfN(amount, 0, 40).Draw(t, "requests")
		spaces := func() (all []*share.Space) {
			for _, s := range sizes {
				s.Memory *= 4
				all = append(all, share.Of(s))
			}
			return all
		}
		before := spaces()
		where := flavor.Pack(before, requests)
		after := spaces()
		for i, w := range where {
			if w >= 0 && !after[w].Book(requests[i]) {
				t.Fatalf("request %d does not fit on server %d", i, w)
			}
		}
		for i, s := range before {
			if s.Parts() != 0 {
				t.Fatalf("server %d was changed", i)
			}
		}
		ours, n := booked(where, requests)
		theirs, m := booked(plain(spaces(), requests), requests)
		if ours.Micro() < theirs.Micro() || n < m {
			t.Fatalf("%d requests with %v, by the plain rule %d with %v", n, ours, m, theirs)
		}
	})
}

// crowd is 1,000 servers of three sizes and n requests that do not all fit.
func crowd(n int) ([]*share.Space, []compute.Resources) {
	r := rand.New(rand.NewPCG(1, 2))
	var servers []*share.Space
	for i := range 1000 {
		servers = append(
			servers,
			share.Of([]compute.Resources{flavor.Part(4, 8000, 40), flavor.Part(8, 32000, 80), flavor.Part(16, 32000, 160)}[i%3]),
		)
	}
	var requests []compute.Resources
	for range n {
		requests = append(requests, flavor.Part([]float64{0, 0.1, 0.5, 1, 1, 2, 4}[r.IntN(7)], 100+r.IntN(6000), r.IntN(20)))
	}
	return servers, requests
}

func BenchmarkPack(b *testing.B) {
	servers, requests := crowd(10_000)
	var where []int
	for b.Loop() {
		where = flavor.Pack(servers, requests)
	}
	ours, n := booked(where, requests)
	theirs, _ := booked(plain(servers, requests), requests)
	b.ReportMetric(float64(ours.Micro())/float64(theirs.Micro()), "fullness/plain")
	b.ReportMetric(float64(n), "placed")
	b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/0.05, "of-50-ms")
}

func BenchmarkChoose(b *testing.B) {
	var flavors []flavor.Flavor
	for i := range 500 {
		flavors = append(
			flavors,
			flavor.Flavor{
				ID: fmt.Sprint(i), Name: fmt.Sprintf("%c%d.size-%d", 'a'+i%12, i%5, i), Cores: 1 << (i % 8),
				RAM: 1024 << (i % 9), Disk: i % 100,
			},
		)
	}
	var sets [][]string
	for i := range 10 {
		sets = append(sets, []string{fmt.Sprintf("^%c", 'a'+i), fmt.Sprintf("size-%d$", i)})
	}
	for _, order := range []flavor.Order{flavor.Cheapest, flavor.Listed} {
		b.Run(string(order), func(b *testing.B) {
			table := flavor.New(flavors)
			for i := 0; b.Loop(); i++ {
				if got, err := table.Choose(
					flavor.Need{Cores: 1 << (i % 8), RAM: 2000, Regex: "size"}, sets, order,
				); err != nil || len(got) == 0 {
					b.Fatalf("got = %v, err = %v; want no error and len(got) != 0", got, err)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N)/100e-6, "of-100-us")
		})
		b.Run(string(order)+"/new", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if got, err := flavor.New(flavors).Choose(
					flavor.Need{Cores: 1 << (i % 8), RAM: 2000, Regex: "size"}, sets, order,
				); err != nil || len(got) == 0 {
					b.Fatalf("got = %v, err = %v; want no error and len(got) != 0", got, err)
				}
			}
		})
	}
}
