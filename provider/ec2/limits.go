package ec2

import (
	"context"
	"log/slog"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/ec2/session"
)

// Limit is the quota of virtual processors for a class of instances, from Service Quotas, and how
// many are used, by instances of any maker.
type Limit struct {
	Class string // "Standard/OnDemand", "G/Spot": a group of families of types, and the market
	Max   int
	Used  int
}

// Limits returns the region's quotas of virtual processors, by class. If the service has none, or
// the credentials may not ask, the result is empty and untold says why, for the user.
func (p *Provider) Limits(ctx context.Context) (limits []Limit, untold string, err error) {
	if limits, err = p.quotas.serviceQuotas(ctx); err == nil {
		return limits, "", session.Wrap(ctx, "Limits", compute.ID(p.o.Source), p.quotas.count(ctx, limits))
	}
	untellable := []session.Reason{session.Denied, session.BadRequest, session.Missing}
	if f := session.FaultOf(err); f != nil && slices.Contains(untellable, f.Reason) {
		p.log.Info("the quotas of processors are not told", "source", p.o.Source, "err", err)
		if f.Reason == session.Denied {
			untold = "the limits of processors are not told, as these credentials may not call servicequotas:ListServiceQuotas: " + f.Message
		}
		return nil, untold, nil
	}
	return nil, "", session.Wrap(ctx, "Limits", compute.ID(p.o.Source), err)
}

// quotas reads an account's quotas and usage in the region.
type quotas struct {
	o       *settings
	log     *slog.Logger
	session *session.Session
	types   *sizes
}

// count adds running instances to the limits under which they count.
func (q *quotas) count(ctx context.Context, limits []Limit) error {
	if len(limits) == 0 {
		return nil
	}
	_, used, err := q.running(ctx)
	for _, u := range used {
		if i := slices.IndexFunc(limits, func(l Limit) bool { return l.Class == classOf(u.Name, u.spot) }); i >= 0 {
			limits[i].Used += u.Cores
		}
	}
	return err
}

// classOf returns the class under which a type counts. "": none.
func classOf(typ string, spot bool) string {
	family := typ[:max(0, strings.IndexAny(typ, "0123456789-."))]
	class := map[string]string{
		"g": "G", "gr": "G", "vt": "G", "p": "P", "x": "X", "f": "F", "inf": "Inf", "trn": "Trn", "dl": "DL",
		"u": "HighMem", "hpc": "HPC", "mac": "",
	}
	name, known := class[family]
	switch {
	case !known && family != "" && strings.Contains("acdhimrtz", family[:1]):
		name = "Standard"
	case name == "":
		return ""
	}
	if spot {
		return name + "/Spot"
	}
	return name + "/OnDemand"
}
