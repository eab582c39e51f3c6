package resource

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Group and Version are those of our kinds.
const (
	Group   = "hostler-project.github.io"
	Version = "v1alpha1"
)

// LeaseSpec is a wish for one lease. It does not change: who wants another one makes another object.
type LeaseSpec struct {
	Source   string            `json:"source" doc:"The source's name." min:"1" max:"200"`
	Name     string            `json:"name,omitempty" doc:"A name for the lease, unique among those that live in hostler." max:"200" pattern:"^[\\p{L}\\p{N}._][\\p{L}\\p{N}._-]*$"`
	Cores    float64           `json:"cores,omitempty" doc:"At least so many; of a source that shares its instances, what is booked of one." min:"0"`
	Memory   string            `json:"memory,omitempty" doc:"At least so much, or booked: 4Gi." pattern:"^[0-9]+(\\.[0-9]+)?([kKMGTPE]i?)?$"`
	Disk     string            `json:"disk,omitempty" doc:"The same of disk." pattern:"^[0-9]+(\\.[0-9]+)?([kKMGTPE]i?)?$"`
	GPUs     int64             `json:"gpus,omitempty" doc:"At least so many, or booked." min:"0"`
	Image    string            `json:"image,omitempty" doc:"What it is to be made of; then it is made, and goes when it is given back." max:"1000"`
	Flavor   string            `json:"flavor,omitempty" doc:"The same of its size." max:"1000"`
	Location string            `json:"location,omitempty" doc:"The same of where it is." max:"1000"`
	TTL      string            `json:"ttl,omitempty" doc:"It ends so long after it was given: 2h. 0: it does not. Left out: as the source says." pattern:"^(0|([0-9]+(\\.[0-9]+)?(ms|s|m|h))+)$"`
	Idle     string            `json:"idle,omitempty" doc:"It ends when unused for so long. Left out: it lives as long as this object." pattern:"^(0|([0-9]+(\\.[0-9]+)?(ms|s|m|h))+)$"`
	Wait     string            `json:"wait,omitempty" doc:"So long it may wait in the queue; then this ends. Left out: without limit." pattern:"^(0|([0-9]+(\\.[0-9]+)?(ms|s|m|h))+)$"`
	Priority int64             `json:"priority,omitempty" doc:"In the queue, where a higher number goes first." min:"-100" max:"100"`
	Purpose  string            `json:"purpose,omitempty" doc:"What for, for people to read." max:"500"`
	Labels   map[string]string `json:"labels,omitempty" doc:"Kept with the lease."`
	Token    bool              `json:"token,omitempty" doc:"Have a Secret with a token made that is good for this lease alone; status.secret names it."`
}

// Step is a phase of a request and how long it took.
type Step struct {
	Phase   string  `json:"phase" doc:"wait, create, connect, set-up, clean or check."`
	Seconds float64 `json:"seconds"`
}

// LeaseStatus is what became of it.
type LeaseStatus struct {
	Phase      string             `json:"phase,omitempty" doc:"Waiting, Leased or Ended." enum:"Waiting,Leased,Ended"`
	Place      int64              `json:"place,omitempty" doc:"In the queue, from 1, while it waits."`
	Reason     string             `json:"reason,omitempty" doc:"Why it waits, or has ended."`
	Lease      string             `json:"lease,omitempty" doc:"The lease's ID."`
	Instance   string             `json:"instance,omitempty" doc:"The instance's name."`
	Generation int64              `json:"generation,omitempty" doc:"The instance's, when the lease was given."`
	Holder     string             `json:"holder,omitempty" doc:"Whose it is in hostler."`
	Project    string             `json:"project,omitempty"`
	Run        string             `json:"run,omitempty" doc:"How a command runs there: with the lease's token, or by who may use what others have."`
	SSH        string             `json:"ssh,omitempty" doc:"How to get in by ssh, with the lease's token."`
	Secret     string             `json:"secret,omitempty" doc:"The Secret with the lease's token, where spec.token asks for one: keys token, lease and instance."`
	Given      *metav1.Time       `json:"given,omitempty"`
	Expires    *metav1.Time       `json:"expires,omitempty" doc:"By its ttl."`
	Ended      *metav1.Time       `json:"ended,omitempty"`
	Steps      []Step             `json:"steps,omitempty" doc:"Where the time went until it was given."`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// File is a file of a thing beside its KIND.conf. Its fields are those of api.ThingFile.
type File struct {
	Path   string `json:"path" doc:"Below the directory of the source, bundle or project." min:"1" max:"1024"`
	Mode   string `json:"mode,omitempty" doc:"Its permissions, in octal digits: 0755. 0644 unless it is said." pattern:"^0[0-7]{3}$"`
	Text   string `json:"text,omitempty"`
	Base64 []byte `json:"base64,omitempty" doc:"In place of text, of what is none."`
}

// ThingSpec is what a source, a bundle or a project is, in the words of its files.
type ThingSpec struct {
	Conf  map[string]any `json:"conf,omitempty" doc:"Keys and their values, as source.conf, bundle.conf or project.conf has them; a section is a map of its own."`
	Files []File         `json:"files,omitempty" doc:"What stands beside that file; or the file itself, without conf."`
}

// ThingStatus is what became of it.
type ThingStatus struct {
	Cached     *int64             `json:"cached,omitempty" doc:"Of a source: instances that are made and not in use."`
	InUse      *int64             `json:"inUse,omitempty" doc:"Those that are leased."`
	Max        *int64             `json:"max,omitempty" doc:"The most that there may be; 0: without limit."`
	Waiting    *int64             `json:"waiting,omitempty" doc:"Requests in its queue."`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Thing is an object of the kinds Source, Bundle and Project.
type Thing = object[ThingSpec, ThingStatus]

// applied are these kinds, as `hostler apply` calls them.
var applied = []string{"bundle", "project", "source"}

// object is an object of one of the kinds.
type object[S, T any] struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              S `json:"spec"`
	Status            T `json:"status"`
}

// Lease is an object of the kind Lease.
type Lease = object[LeaseSpec, LeaseStatus]

// column is one of what kubectl get prints.
type column struct {
	name, typ, path string
	wide            bool // with -o wide alone
}

// definition is what a kind is made of.
type definition struct {
	kind, singular, plural, short string
	doc                           string
	spec, status                  any
	fixed                         bool // its spec does not change
	columns                       []column
}

// definitions are the kinds.
var definitions = []definition{
	{
		kind: "Lease", singular: "lease", plural: "leases", short: "hl", fixed: true, spec: LeaseSpec{}, status: LeaseStatus{},
		doc: "A lease on an instance of a source of hostler's. Making it asks for one, and deleting it gives that back.",
		columns: []column{
			{"Source", "string", ".spec.source", false}, {"Instance", "string", ".status.instance", false}, {"State", "string", ".status.phase", false},
			{"Place", "integer", ".status.place", false}, {"Holder", "string", ".status.holder", false}, {"Expires", "date", ".status.expires", true},
			{"Reason", "string", ".status.reason", true}, ageColumn,
		},
	},
	{
		kind: "Source", singular: "source", plural: "sources", short: "hs", spec: ThingSpec{}, status: ThingStatus{}, doc: "A source of hostler's, as source.conf describes it.",
		columns: []column{
			{"Type", "string", ".spec.conf.type", false}, {"Cached", "integer", ".status.cached", false}, {"In-Use", "integer", ".status.inUse", false}, {"Max", "integer", ".status.max", false},
			{"Waiting", "integer", ".status.waiting", true}, readyColumn, reasonColumn, ageColumn,
		},
	},
	{
		kind: "Bundle", singular: "bundle", plural: "bundles", short: "hb", spec: ThingSpec{}, status: ThingStatus{}, columns: []column{readyColumn, reasonColumn, ageColumn},
		doc: "A bundle of hostler's, as bundle.conf and the files beside it describe it.",
	},
	{
		kind: "Project", singular: "project", plural: "projects", short: "hp", spec: ThingSpec{}, status: ThingStatus{}, columns: []column{readyColumn, reasonColumn, ageColumn},
		doc: "A project of hostler's, with its members and quotas, as project.conf describes it.",
	},
}

var (
	readyColumn  = column{"Ready", "string", ".status.conditions[?(@.type==\"Ready\")].status", false}
	reasonColumn = column{"Message", "string", ".status.conditions[?(@.type==\"Ready\")].message", true}
	ageColumn    = column{"Age", "date", ".metadata.creationTimestamp", false}
)

// resourceOf is how the API server calls the objects of a kind.
func resourceOf(plural string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: Group, Version: Version, Resource: plural}
}
