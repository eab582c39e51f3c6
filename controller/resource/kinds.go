package resource

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/hostler-project/hostler/api"
)

// Group and Version of the kinds.
const (
	Group   = "hostler-project.github.io"
	Version = "v1alpha1"
)

// LeaseSpec describes one wanted lease. It is immutable: a different lease needs another object.
// The kind's definition documents the fields.
type LeaseSpec struct {
	Source   string            `json:"source"`
	Name     string            `json:"name,omitempty"`
	Cores    float64           `json:"cores,omitempty"`
	Memory   string            `json:"memory,omitempty"`
	Disk     string            `json:"disk,omitempty"`
	GPUs     int               `json:"gpus,omitempty"`
	Image    string            `json:"image,omitempty"`
	Flavor   string            `json:"flavor,omitempty"`
	Location string            `json:"location,omitempty"`
	TTL      string            `json:"ttl,omitempty"`
	Idle     string            `json:"idle,omitempty"`
	Wait     string            `json:"wait,omitempty"`
	Priority int               `json:"priority,omitempty"`
	Purpose  string            `json:"purpose,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
	Token    bool              `json:"token,omitempty"`
}

// Step is a phase of a request and its duration.
type Step struct {
	Phase   string  `json:"phase"`
	Seconds float64 `json:"seconds"`
}

// LeaseStatus is the state of the lease.
type LeaseStatus struct {
	Phase      string             `json:"phase,omitempty"`
	Place      int                `json:"place,omitempty"`
	Reason     string             `json:"reason,omitempty"`
	Lease      string             `json:"lease,omitempty"`
	Instance   string             `json:"instance,omitempty"`
	Generation int64              `json:"generation,omitempty"`
	Holder     string             `json:"holder,omitempty"`
	Project    string             `json:"project,omitempty"`
	Run        string             `json:"run,omitempty"`
	SSH        string             `json:"ssh,omitempty"`
	Secret     string             `json:"secret,omitempty"`
	Given      *metav1.Time       `json:"given,omitempty"`
	Expires    *metav1.Time       `json:"expires,omitempty"`
	Ended      *metav1.Time       `json:"ended,omitempty"`
	Steps      []Step             `json:"steps,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ThingSpec is a source, a bundle or a project, in the form of its files.
type ThingSpec struct {
	Conf  map[string]any  `json:"conf,omitempty"`
	Files []api.ThingFile `json:"files,omitempty"`
}

// ThingStatus is the state of the thing.
type ThingStatus struct {
	Cached     *int               `json:"cached,omitempty"`
	InUse      *int               `json:"inUse,omitempty"`
	Max        *int               `json:"max,omitempty"`
	Waiting    *int               `json:"waiting,omitempty"`
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Thing is an object of the kinds Source, Bundle and Project.
type Thing = object[ThingSpec, ThingStatus]

// applied lists these kinds, as `hostler apply` names them.
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

// resourceOf returns the API server's name for the objects of a kind.
func resourceOf(plural string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: Group, Version: Version, Resource: plural}
}
