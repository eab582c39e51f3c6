package ec2

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
)

// fitting returns the types that a request may have, the best first. free: nothing names the types,
// and there may be many.
func (l *launcher) fitting(ctx context.Context, spec compute.Spec, img image) (out []string, free bool, err error) {
	named := l.o.Types
	if spec.Flavor != "" {
		named = []string{spec.Flavor}
	}
	cores, memory := max(spec.Cores, l.o.Cores), max(spec.Memory, l.o.Memory)
	if spec.Flavor != "" {
		cores, memory = spec.Cores, spec.Memory
	}
	if len(named) > 0 && cores == 0 && memory == 0 && spec.GPUs == 0 && spec.MaxPrice == 0 {
		return named, false, nil // the service knows them
	}
	all, err := l.types.all(ctx, false)
	if err != nil {
		return nil, false, err
	}
	var fit []size
	for _, s := range all {
		switch {
		case len(named) > 0 && !slices.Contains(named, s.Name), len(named) == 0 && !l.o.match.MatchString(s.Name):
		case img.arch != "" && !slices.Contains(s.archs, img.arch):
		case s.Cores < cores, int64(s.RAM)<<20 < memory, s.GPUs < spec.GPUs:
		case len(named) == 0 && s.GPUs > 0 && spec.GPUs == 0: // expensive, and no GPU is wanted
		case l.o.Spot == "no" && !within(s.Price, spec.MaxPrice):
			// for spot the request says it
		case l.o.StopBy == "hibernate" && !s.hibernates:
		default:
			fit = append(fit, s)
		}
	}
	if len(fit) == 0 {
		if spec.MaxPrice > 0 {
			return nil, false, &compute.Error{Kind: compute.ErrTooLarge, Err: fmt.Errorf(
				"no type of instance has %d cores, %d MiB and %d GPUs, is one that the source allows, and is known to cost at most %v for an hour",
				cores, memory>>20, spec.GPUs, spec.MaxPrice,
			),
				Hint: "ask for a higher price; `prices` of the source is what is known"}
		}
		return nil, false, &compute.Error{Kind: compute.ErrTooLarge, Err: fmt.Errorf(
			"no type of instance has %d cores, %d MiB and %d GPUs, and is one that the source allows", cores, memory>>20,
			spec.GPUs,
		),
			Hint: "ask for less, or name other types in the source"}
	}
	if len(named) > 0 {
		for _, n := range named {
			if slices.ContainsFunc(fit, func(s size) bool { return s.Name == n }) {
				out = append(out, n)
			}
		}
		return out, false, nil
	}
	if l.chooses(spec) {
		out, err = l.classes(fit, spec)
		return out, false, err
	}
	for _, s := range fit {
		out = append(out, s.Name)
	}
	return out, true, nil
}

// classes returns the types to try, one of each class of hardware, out of those that fit.
func (l *launcher) classes(fit []size, spec compute.Spec) (out []string, err error) {
	var all []flavor.Flavor
	for _, s := range fit {
		all = append(all, s.Flavor)
	}
	// all of them fit
	picks, err := flavor.New(all).Choose(flavor.Need{}, l.o.sets, flavor.Order(l.o.Order))
	if err != nil {
		return nil, err
	}
	for _, f := range picks {
		if f.Name != "" && !slices.Contains(out, f.Name) {
			out = append(out, f.Name)
		}
	}
	if len(out) == 0 {
		return nil, &compute.Error{
			ID: spec.ID, Kind: compute.ErrTooLarge,
			Err:  errors.New("none of the types that are large enough is of one of the flavor-sets"),
			Hint: "ask for less, or name other flavor-sets in the source",
		}
	}
	return out, nil
}

// mostTypes is how many types are tried for one instance if none is named.
const mostTypes = 8
