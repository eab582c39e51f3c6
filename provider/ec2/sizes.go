package ec2

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/hostler-project/hostler/provider/ec2/session"
	"github.com/hostler-project/hostler/provider/flavor"
)

// size is an instance type. Its price is the configured one on demand.
type size struct {
	flavor.Flavor
	archs      []string // in EC2's words
	hibernates bool
}

// sizes caches the instance types.
type sizes struct {
	o       *settings
	session *session.Session

	mu   sync.Mutex
	last sizeList
}

// sizeList is the types at one time.
type sizeList struct {
	asked time.Time
	all   []size
}

// sizesFor is how long a list of types is reused.
const sizesFor = 30 * time.Minute

// all returns all types. fresh reads them again.
func (z *sizes) all(ctx context.Context, fresh bool) ([]size, error) {
	z.mu.Lock()
	known := z.last
	z.mu.Unlock()
	if !fresh && !known.asked.IsZero() && time.Since(known.asked) < sizesFor {
		return known.all, nil
	}
	c, err := z.session.API(ctx)
	if err != nil {
		return nil, err
	}
	now := sizeList{asked: time.Now()}
	for t, err := range c.Region.AllTypes(ctx) {
		if err != nil {
			return nil, err
		}
		s := sizeOf(t)
		s.Price = z.o.onDemand[s.Name]
		now.all = append(now.all, s)
	}
	slices.SortFunc(now.all, func(a, b size) int { return flavor.Compare(a.Flavor, b.Flavor) })
	z.mu.Lock()
	z.last = now
	z.mu.Unlock()
	return now.all, nil
}

// sizeOf describes an instance type, with its RAM in MiB. What EC2 leaves out is zero.
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

// known returns a type from the last list. It calls nothing.
func (z *sizes) known(name string) (size, bool) {
	z.mu.Lock()
	defer z.mu.Unlock()
	i := slices.IndexFunc(z.last.all, func(s size) bool { return s.Name == name })
	if i < 0 {
		return size{}, false
	}
	return z.last.all[i], true
}

// within reports whether a price (0: unknown) is at most another (0: any price is).
func within(price, most float64) bool { return most == 0 || price > 0 && price <= most }

// lower returns the lower of two ceilings. 0 is none.
func lower(a, b float64) float64 {
	if a == 0 || b > 0 && b < a {
		return b
	}
	return a
}
