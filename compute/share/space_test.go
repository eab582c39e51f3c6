package share_test

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/share"
)

// TestVectors runs what was recorded of another accounting: how many fit, what is accepted, what is
// given back.
func TestVectors(t *testing.T) {
	data, err := os.ReadFile("testdata/space.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct {
		Size  compute.Resources `json:"size"`
		Steps []struct {
			Do     string            `json:"do"`
			Part   compute.Resources `json:"part"`
			Fits   int               `json:"fits"`
			Booked bool              `json:"booked"`
		} `json:"steps"`
	}
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) < 14 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for n, v := range vectors {
		s := share.Of(v.Size)
		for k, step := range v.Steps {
			switch step.Do {
			case "fits":
				if got := s.Fits(step.Part); got != step.Fits {
					t.Errorf("vector %d, step %d: %d of %v fit, want %d", n, k, got, step.Part, step.Fits)
				}
			case "book":
				if got := s.Book(step.Part); got != step.Booked {
					t.Errorf("vector %d, step %d: booking %v: %v, want %v", n, k, step.Part, got, step.Booked)
				}
			case "unbook":
				s.Unbook(step.Part)
			default:
				t.Fatalf("vector %d: %q", n, step.Do)
			}
		}
	}
}

func TestTable(t *testing.T) {
	size := compute.Resources{Cores: 4, Memory: 8000, Disk: 20, GPUs: 2}
	full := compute.Resources{Cores: 4}
	for _, c := range []struct {
		name   string
		booked []compute.Resources
		part   compute.Resources
		want   int
	}{
		{"cores", nil, compute.Resources{Cores: 1}, 4},
		{"memory", nil, compute.Resources{Cores: 1, Memory: 3000}, 2},
		{"none", nil, compute.Resources{Memory: 100}, 8},
		{"all", nil, compute.Resources{Cores: 1, Memory: 8000, Disk: 20}, 1},
		{"too much memory", nil, compute.Resources{Cores: 1, Memory: 8001}, 0},
		{"full", []compute.Resources{full}, compute.Resources{Cores: 0.1}, 0},
		{"none beside a full one", []compute.Resources{full}, compute.Resources{}, 8},
		{"three tenths", nil, compute.Resources{Cores: 0.3}, 13},
		{"gpus", nil, compute.Resources{Cores: 1, GPUs: 1}, 2},
		{"too many gpus", nil, compute.Resources{Cores: 1, GPUs: 3}, 0},
		{"negative", nil, compute.Resources{Cores: -1}, 0},
		{"not a number", nil, compute.Resources{Cores: math.NaN()}, 0},
		{"a third", []compute.Resources{{Cores: 11.0 / 3}}, compute.Resources{Cores: 1.0 / 3}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := share.Of(size, c.booked...).Fits(c.part); got != c.want {
				t.Errorf("%d, want %d", got, c.want)
			}
		})
	}
}

// TestTenths: forty tenths are four, in whatever order they come and go.
func TestTenths(t *testing.T) {
	s := share.Of(compute.Resources{Cores: 4})
	tenth := compute.Resources{Cores: 0.1}
	for n := range 40 {
		if !s.Book(tenth) {
			t.Fatalf("tenth %d does not fit", n)
		}
	}
	if s.Book(tenth) || s.Free().Cores != 0 {
		t.Errorf("one more fits, and %v cores are free", s.Free().Cores)
	}
	for range 40 {
		s.Unbook(tenth)
	}
	if s.Parts() != 0 || s.Booked() != (compute.Resources{}) || !s.Book(compute.Resources{Cores: 4}) {
		t.Errorf("%d parts, %v booked", s.Parts(), s.Booked())
	}
}

// TestNeverOver books and gives back at random: what was accepted is never more than there is, what
// is given back is free again, and how many are said to fit do.
func TestNeverOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.Custom(func(t *rapid.T) compute.Resources {
			return compute.Resources{Cores: rapid.SampledFrom([]float64{0, 0.1, 0.2, 0.3, 1.0 / 3, 0.5, 1, 2.5, 4}).Draw(t, "cores"),
				Memory: rapid.Int64Range(0, 50).Draw(t, "memory"),
				Disk:   rapid.Int64Range(0, 50).Draw(t, "disk"), GPUs: rapid.IntRange(0, 2).Draw(t, "gpus")}
		})
		size := part.Draw(t, "size")
		size.Memory, size.Disk = 10*size.Memory, 10*size.Disk
		s := share.Of(size)
		var booked []compute.Resources
		t.Repeat(map[string]func(*rapid.T){
			"book": func(t *rapid.T) {
				p := part.Draw(t, "part")
				now := slices.Concat(booked, []compute.Resources{p})
				want := !share.Of(size, now...).Over()
				if has, took := s.Has(p), s.Book(p); has != want || took != want {
					t.Fatalf("%v: has %v, booked %v, want %v", p, has, took, want)
				}
				if want {
					booked = now
				}
			},
			"unbook": func(t *rapid.T) {
				if len(booked) == 0 {
					t.Skip()
				}
				n := rapid.IntRange(0, len(booked)-1).Draw(t, "which")
				s.Unbook(booked[n])
				booked = slices.Delete(slices.Clone(booked), n, n+1)
			},
			"fits": func(t *rapid.T) {
				p := part.Draw(t, "part")
				n, try := s.Fits(p), share.Of(size, booked...)
				for k := range n {
					if !try.Book(p) {
						t.Fatalf("%d of %v were said to fit, and %d do", n, p, k)
					}
				}
				if n == 0 && try.Book(p) {
					t.Fatalf("none of %v were said to fit, and one does", p)
				}
			},
			"": func(t *rapid.T) {
				if s.Over() {
					t.Fatalf("of %v %v is booked", size, s.Booked())
				}
				if want := share.Of(size, booked...); *want != *s {
					t.Fatalf("%+v, want %+v", *s, *want)
				}
			},
		})
	})
}
