package ec2test

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Account is the id of the account.
const Account = "123456789012"

// Zones are the region's zones. subnets has the zone of each subnet.
var (
	Zones   = []string{"xx-test-1a", "xx-test-1b"}
	subnets = map[string]string{"subnet-a": "xx-test-1a", "subnet-b": "xx-test-1b"}
)

// vpc is the region's one network, which is the default one.
const vpc = "vpc-1"

// places has what there is to choose from in the region, and the limits of the account.
type places struct {
	o      *Options
	types  []Type
	prices []SpotPrice
}

// describeSubnets returns the fixed subnets. It ignores filters.
func (at *places) describeSubnets(f form) ([]elem, *Fault) {
	ids := f.list("SubnetId")
	for _, id := range ids {
		if subnets[id] == "" {
			return nil, fault("InvalidSubnetID.NotFound", "The subnet ID '%s' does not exist", id)
		}
	}
	if len(ids) == 0 {
		ids = sortedKeys(subnets)
	}
	return []elem{set("subnetSet", ids, func(id string) []elem {
		return []elem{tx("subnetId", id), tx("vpcId", vpc), tx("availabilityZone", subnets[id]), tx("state", "available")}
	})}, nil
}

// Type is an instance type.
type Type struct {
	Name   string
	VCPUs  int
	Memory int    // MiB
	GPUs   int    //
	Disk   int    // GB of instance store
	Arch   string // "": x86_64
}

func (t Type) arch() string {
	if t.Arch == "" {
		return "x86_64"
	}
	return t.Arch
}

func (t Type) hibernates() bool { return t.GPUs == 0 && t.Arch == "" }

// SpotPrice is the spot price of a type at a time.
type SpotPrice struct {
	Type, Zone string
	Price      string // dollars for an hour
	Time       time.Time
}

// SetTypes replaces all types.
func (c *Cloud) SetTypes(all ...Type) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.places.types = all
}

// SetPrices replaces the spot prices.
func (c *Cloud) SetPrices(all ...SpotPrice) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.places.prices = all
}

func (at *places) typeOf(name string) (Type, bool) {
	i := slices.IndexFunc(at.types, func(t Type) bool { return t.Name == name })
	if i < 0 {
		return Type{}, false
	}
	return at.types[i], true
}

func (at *places) archOf(typ string) string {
	t, _ := at.typeOf(typ)
	return t.arch()
}

// describeInstanceTypes returns the types by name. It ignores the filters if the request names
// types.
func (at *places) describeInstanceTypes(f form) ([]elem, *Fault) {
	names := f.list("InstanceType")
	var found []Type
	for _, n := range names {
		t, ok := at.typeOf(n)
		if !ok {
			return nil, fault("InvalidInstanceType", "The following supplied instance types do not exist: [%s]", n)
		}
		found = append(found, t)
	}
	if len(names) == 0 {
		for _, t := range at.types {
			ok, bad := f.filters(
				map[string]string{
					"current-generation": "true", "processor-info.supported-architecture": t.arch(),
					"instance-type": t.Name, "bare-metal": "false",
				},
				nil,
			)
			if bad != nil {
				return nil, bad
			}
			if ok {
				found = append(found, t)
			}
		}
	}
	slices.SortFunc(found, func(a, b Type) int { return strings.Compare(a.Name, b.Name) })
	part, next := page(f, found, func(t Type) string { return t.Name })
	return append([]elem{set("instanceTypeSet", part, func(t Type) []elem {
		out := []elem{
			tx("instanceType", t.Name), tx("currentGeneration", true), tx("bareMetal", false), tx("hypervisor", "nitro"),
			tx("hibernationSupported", t.hibernates()),
			el("processorInfo", el("supportedArchitectures", tx("item", t.arch()))), el("vCpuInfo", tx("defaultVCpus", t.VCPUs)),
			el("memoryInfo", tx("sizeInMiB", t.Memory)), tx("instanceStorageSupported", t.Disk > 0),
			el("supportedUsageClasses", tx("item", "on-demand"), tx("item", "spot")),
		}
		if t.Disk > 0 {
			out = append(out, el("instanceStorageInfo", tx("totalSizeInGB", t.Disk)))
		}
		if t.GPUs > 0 {
			out = append(
				out,
				el("gpuInfo", set("gpus", []int{t.GPUs}, func(n int) []elem { return []elem{tx("count", n), tx("name", "T4")} })),
			)
		}
		return out
	})}, next...), nil
}

// describeSpotPriceHistory returns the prices of the named types, the newest first. It ignores
// filters and times.
func (at *places) describeSpotPriceHistory(f form) ([]elem, *Fault) {
	types := f.list("InstanceType")
	var found []SpotPrice
	for _, p := range at.prices {
		if len(types) == 0 || slices.Contains(types, p.Type) {
			found = append(found, p)
		}
	}
	slices.SortStableFunc(found, func(a, b SpotPrice) int { return b.Time.Compare(a.Time) })
	return []elem{set("spotPriceHistorySet", found, func(p SpotPrice) []elem {
		return []elem{
			tx("instanceType", p.Type), tx("productDescription", "Linux/UNIX"), tx("spotPrice", p.Price),
			tx("timestamp", p.Time), tx("availabilityZone", p.Zone),
		}
	})}, nil
}

// spotPrice returns the price of a type in a zone. 0: none was set. The caller holds the mutex.
func (at *places) spotPrice(typ, zone string) (price float64) {
	var newest time.Time
	for _, p := range at.prices {
		if x, err := strconv.ParseFloat(p.Price, 64); err == nil && p.Type == typ && p.Zone == zone && !p.Time.Before(newest) {
			price, newest = x, p.Time
		}
	}
	return price
}

func (at *places) describeAvailabilityZones(form) ([]elem, *Fault) {
	return []elem{set("availabilityZoneInfo", Zones, func(z string) []elem {
		return []elem{
			tx("zoneName", z), tx("zoneState", "available"), tx("regionName", z[:len(z)-1]),
			tx("zoneType", "availability-zone"), tx("optInStatus", "opt-in-not-required"),
		}
	})}, nil
}

// describeAccountAttributes tells only max-instances, 1000 if the cloud has no limit.
func (at *places) describeAccountAttributes(form) ([]elem, *Fault) {
	limit := at.o.Instances
	if limit == 0 {
		limit = 1000
	}
	attributes := map[string]int{"max-instances": limit}
	return []elem{set("accountAttributeSet", slices.Sorted(maps.Keys(attributes)), func(k string) []elem {
		return []elem{
			tx("attributeName", k),
			set("attributeValueSet", []int{attributes[k]}, func(n int) []elem { return []elem{tx("attributeValue", n)} }),
		}
	})}, nil
}
