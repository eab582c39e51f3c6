package policy

import "github.com/hostler-project/hostler/compute"

// A Callers describes the callers that may set a field.
type Callers string

// The callers that may set a field of a request.
const (
	Caller Callers = "anyone who may take leases"
	ByKey  Callers = "the owner; others as a key of the source allows"
	Bound  Callers = "anyone who may take leases, within the sizes that keys of the source say"
	Others Callers = "operators of the project"
	Here   Callers = "a caller on the controller's machine"
	Inside Callers = "nobody: the program sets it"
)

// A Field is the rule of one field of compute.Request.
type Field struct {
	Name   string // of the field in Go
	Key    string // of the field in the API's document; "": it is not there
	Who    Callers
	Within string // the bounds, for people
	// nil: there is nothing to check here
	check checker
}

// Fields has the rule of each field of a request, in the order of the API's document.
var Fields = []Field{
	{
		Name: "Source", Key: "source", Who: Caller,
		Within: "the sources of the caller's project, and of its token; `local`, `chroot` and what shows the controller's own files are the owner's alone",
	},
	{
		Name: "Count", Key: "count", Who: Caller,
		Within: "the source's `maximum` and the quotas of project and user; 1,000, of the owner's 100,000",
		check:  checkCount,
	},
	{Name: "Owner", Key: "owner", Who: Others, Within: "else it is the caller"},
	{Name: "Project", Key: "project", Who: Caller, Within: "the caller's own projects"},
	{Name: "Priority", Key: "priority", Who: Caller, Within: "-100 to 100, and the project's `highest-priority`"},
	{Name: "Purpose", Key: "purpose", Who: Caller, Within: "1,000 bytes of text; shown, never acted on"},
	{
		Name: "Name", Key: "name", Who: Caller,
		Within: "letters (a-z, A-Z), digits, dots, `_` and `-`; not the name of a source or an instance, `SOURCE-NUMBER`, or the name of another lease of the project",
	},
	{Name: "TTL", Key: "ttl", Who: Caller, Within: "the source's `max-ttl`"},
	{Name: "Idle", Key: "idle", Who: Caller, Within: "it ends the caller's own lease alone"},
	{Name: "Wait", Key: "wait", Who: Caller, Within: "the caller's own request alone"},
	{
		Name: "Cores", Key: "cores", Who: Bound, Within: "`max-cores`, else `cores` of the source",
		check: checkAmount("cores", " cores", func(a compute.Resources) float64 { return a.Cores }, count),
	},
	{
		Name: "Memory", Key: "memory", Who: Bound, Within: "`max-memory`, else `memory` of the source",
		check: checkAmount("memory", " of memory", func(a compute.Resources) float64 { return float64(a.Memory) }, exactSize),
	},
	{
		Name: "Disk", Key: "disk", Who: Bound, Within: "`max-disk`, else `disk` of the source",
		check: checkAmount("disk", " of disk", func(a compute.Resources) float64 { return float64(a.Disk) }, exactSize),
	},
	{
		Name: "GPUs", Key: "gpus", Who: Bound, Within: "`max-gpus`; none where the type has none",
		check: checkAmount("gpus", " GPUs", func(a compute.Resources) float64 { return float64(a.GPUs) }, count),
	},
	{Name: "MaxPrice", Key: "max_price", Who: Caller, Within: "it only narrows what is given"},
	{Name: "Labels", Key: "labels", Who: Caller, Within: "64 of 16 KiB together; shown, never acted on"},
	{Name: "For", Key: "for", Who: Here, Within: "a process of that machine"},
	{Name: "Image", Key: "image", Who: ByKey,
		Within: "`images`; what names a file or the root of the controller's machine by the same words alone",
		check: checkNamed(
			"images", func(r compute.Request) string { return r.Image }, func(l Limits) []string { return l.Images },
			matchImage,
		)},
	{Name: "Flavor", Key: "flavor", Who: ByKey, Within: "`flavors`",
		check: checkNamed(
			"flavors", func(r compute.Request) string { return r.Flavor }, func(l Limits) []string { return l.Flavors }, match,
		)},
	{Name: "Location", Key: "location", Who: ByKey, Within: "`locations`",
		check: checkNamed(
			"locations", func(r compute.Request) string { return r.Location },
			func(l Limits) []string { return l.Locations }, match,
		)},
	{Name: "UserData", Key: "user_data", Who: ByKey, Within: "`user-data = yes`", check: userData},
	{Name: "New", Key: "new", Who: Caller, Within: "what is made counts under `maximum` and quotas"},
	{Name: "CachedOnly", Key: "cached_only", Who: Caller, Within: "it only narrows what is given"},
	{Name: "Own", Who: Inside, Within: "the caller is the user whose configuration it is, and not by a token for less"},
	{Name: "Still", Who: Inside},
	{Name: "Notify", Who: Inside},
}
