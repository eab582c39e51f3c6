package ec2

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/flavor"
)

// size is an instance type. Its price is the one on demand, where that is configured.
type size struct {
	flavor.Flavor
	archs      []string // as EC2 has them
	hibernates bool
}

// sizes are the types that there are, as they were at a time.
type sizes struct {
	asked time.Time
	all   []size
}

// sizesFor is how long a list of types is believed.
const sizesFor = 30 * time.Minute

// types returns what types there are; fresh asks again.
func (p *Provider) types(ctx context.Context, fresh bool) ([]size, error) {
	p.mu.Lock()
	known := p.sizes
	p.mu.Unlock()
	if !fresh && !known.asked.IsZero() && time.Since(known.asked) < sizesFor {
		return known.all, nil
	}
	c, err := p.api(ctx)
	if err != nil {
		return nil, err
	}
	now := sizes{asked: time.Now()}
	pages := ec2.NewDescribeInstanceTypesPaginator(
		describeInstanceTypesPages(c.describeInstanceTypes), &ec2.DescribeInstanceTypesInput{MaxResults: aws.Int32(100)},
	)
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return nil, err
		}
		for _, t := range page.InstanceTypes {
			s := sizeOf(t)
			s.Price = p.onDemand[s.Name]
			now.all = append(now.all, s)
		}
	}
	slices.SortFunc(now.all, func(a, b size) int { return flavor.Compare(a.Flavor, b.Flavor) })
	p.mu.Lock()
	p.sizes = now
	p.mu.Unlock()
	return now.all, nil
}

func sizeOf(t types.InstanceTypeInfo) size {
	s := size{
		Flavor:     flavor.Flavor{ID: string(t.InstanceType), Name: string(t.InstanceType)},
		hibernates: aws.ToBool(t.HibernationSupported),
	}
	if t.VCpuInfo != nil {
		s.Cores = int(aws.ToInt32(t.VCpuInfo.DefaultVCpus))
	}
	if t.MemoryInfo != nil {
		s.RAM = int(aws.ToInt64(t.MemoryInfo.SizeInMiB))
	}
	if t.GpuInfo != nil {
		for _, g := range t.GpuInfo.Gpus {
			s.GPUs += int(aws.ToInt32(g.Count))
		}
	}
	if t.ProcessorInfo != nil {
		for _, a := range t.ProcessorInfo.SupportedArchitectures {
			s.archs = append(s.archs, string(a))
		}
	}
	return s
}

// knownType is a type that was heard of. It asks nobody.
func (p *Provider) knownType(name string) (size, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	i := slices.IndexFunc(p.sizes.all, func(s size) bool { return s.Name == name })
	if i < 0 {
		return size{}, false
	}
	return p.sizes.all[i], true
}

// fitting returns the types that a request may have, those to try first in front. free: it says
// nothing of which, and there may be many.
func (p *Provider) fitting(ctx context.Context, spec compute.Spec, img image) (out []string, free bool, err error) {
	named := p.o.Types
	if spec.Flavor != "" {
		named = []string{spec.Flavor}
	}
	cores, memory := max(spec.Cores, p.o.Cores), max(spec.Memory, p.o.Memory)
	if spec.Flavor != "" {
		cores, memory = spec.Cores, spec.Memory
	}
	if len(named) > 0 && cores == 0 && memory == 0 && spec.GPUs == 0 && spec.MaxPrice == 0 {
		return named, false, nil // the service knows them
	}
	all, err := p.types(ctx, false)
	if err != nil {
		return nil, false, err
	}
	var fit []size
	for _, s := range all {
		switch {
		case len(named) > 0 && !slices.Contains(named, s.Name), len(named) == 0 && !p.match.MatchString(s.Name):
		case img.arch != "" && !slices.Contains(s.archs, img.arch):
		case s.Cores < cores, int64(s.RAM)<<20 < memory, s.GPUs < spec.GPUs:
		case len(named) == 0 && s.GPUs > 0 && spec.GPUs == 0: // dear, and nobody asked for it
		case p.o.Spot == "no" && !within(s.Price, spec.MaxPrice):
			// of spot it is said with the request
		case p.o.StopBy == "hibernate" && !s.hibernates:
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
	if p.chooses(spec) {
		out, err = p.classes(fit, spec)
		return out, false, err
	}
	for _, s := range fit {
		out = append(out, s.Name)
	}
	return out, true, nil
}

// within tells whether a price, 0 where it is not known, is at most another; 0: any is.
func within(price, most float64) bool { return most == 0 || price > 0 && price <= most }

// lower is the lower one of two ceilings, of which 0 is none.
func lower(a, b float64) float64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}

// Prices reports whether prices are configured, or what it makes is for spot, where a request says
// what it may cost.
func (p *Provider) Prices() bool { return len(p.onDemand) > 0 || p.o.Spot != "no" }

// classes returns the types to try of those that fit, one of each class of hardware.
func (p *Provider) classes(fit []size, spec compute.Spec) (out []string, err error) {
	var all []flavor.Flavor
	for _, s := range fit {
		all = append(all, s.Flavor)
	}
	picks, err := flavor.New(all).Choose(flavor.Need{}, p.sets, flavor.Order(p.o.Order)) // all fit
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

// mostTypes is how many types are tried for one instance, where none is named.
const mostTypes = 8
