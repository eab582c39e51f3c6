package openstack

import (
	"context"
	"errors"
	"time"

	volumelimits "github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/limits"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/limits"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/quotas"
)

// Unlimited is the Max of a Limit that does not limit.
const Unlimited = -1

// Limit is how much of something a project may have and has. Used includes what others in the
// project made.
type Limit struct {
	Max  int64 // or Unlimited
	Used int64
}

// Free returns what is left, or Unlimited.
func (l Limit) Free() int64 {
	if l.Max < 0 {
		return Unlimited
	}
	return max(l.Max-l.Used, 0)
}

// Quota is what a project may have and has.
type Quota struct {
	Instances   Limit
	Cores       Limit
	Memory      Limit // bytes
	KeyPairs    Limit // Used is not told
	Volumes     Limit
	VolumeBytes Limit
	FloatingIPs Limit
	Ports       Limit
	Networks    Limit
	Groups      Limit // security groups
	Routers     Limit
}

// keptQuota is how long an answer about quotas is reused: they change with every server.
const keptQuota = 5 * time.Second

// Quota returns the project's quotas, which may be a few seconds old.
func (s *Session) Quota(ctx context.Context) (Quota, error) { return s.quota.recent(ctx, keptQuota) }

func limit(most, used int, unit int64) Limit {
	if most < 0 {
		return Limit{Unlimited, int64(used) * unit}
	}
	return Limit{int64(most) * unit, int64(used) * unit}
}

// askQuota reads the limits of all services.
func (s *Session) askQuota(ctx context.Context) (q Quota, err error) {
	c, err := s.Compute(ctx)
	if err != nil {
		return q, err
	}
	l, err := limits.Get(ctx, c, limits.GetOpts{}).Extract()
	if err != nil {
		return q, Classify("Quota", "", err)
	}
	a := l.Absolute
	q.Instances, q.Cores = limit(a.MaxTotalInstances, a.TotalInstancesUsed, 1), limit(a.MaxTotalCores, a.TotalCoresUsed, 1)
	q.Memory, q.KeyPairs = limit(a.MaxTotalRAMSize, a.TotalRAMUsed, 1<<20), limit(a.MaxTotalKeypairs, 0, 1)

	none := Limit{Max: Unlimited}
	q.Volumes, q.VolumeBytes = none, none
	v, err := s.Volumes(ctx)
	switch {
	case errors.Is(err, ErrNoService):
	case err != nil:
		return q, err
	default:
		l, err := volumelimits.Get(ctx, v).Extract()
		if err != nil {
			return q, Classify("Quota", "", err)
		}
		a := l.Absolute
		q.Volumes, q.VolumeBytes = limit(a.MaxTotalVolumes, a.TotalVolumesUsed, 1), limit(
			a.MaxTotalVolumeGigabytes, a.TotalGigabytesUsed, 1<<30,
		)
	}

	n, err := s.Network(ctx)
	if err != nil {
		return q, err
	}
	project, _, err := s.Project(ctx)
	if err != nil {
		return q, err
	}
	d, err := quotas.GetDetail(ctx, n, project).Extract()
	switch r := ReasonOf(Classify("Quota", "", err)); {
	case r == Missing || r == Denied: // some clouds do not tell them
		q.FloatingIPs, q.Ports, q.Networks, q.Groups, q.Routers = none, none, none, none, none
		return q, nil
	case err != nil:
		return q, Classify("Quota", "", err)
	}
	of := func(d quotas.QuotaDetail) Limit { return limit(d.Limit, d.Used+d.Reserved, 1) }
	q.FloatingIPs, q.Ports, q.Networks, q.Groups, q.Routers = of(d.FloatingIP), of(d.Port), of(d.Network), of(d.SecurityGroup), of(d.Router)
	return q, nil
}
