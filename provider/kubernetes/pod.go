package kubernetes

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/kubernetes/podexec"
)

// domain begins our labels and annotations.
const (
	domain            = "hostler-project.github.io"
	labelInstallation = domain + "/installation"
	labelSource       = domain + "/source"
	labelNetwork      = domain + "/network" // names the pod's network policy; none: open
	noteInstance      = domain + "/instance"
	noteSource        = domain + "/source"
	notePool          = domain + "/warm-pool" // of a claim: the pool that it came from
	// a digest of how the source's pods are made
	noteTemplate  = domain + "/template"
	noteContainer = "kubectl.kubernetes.io/default-container" // Kubernetes' own
)

// record is what is known of a pod, or of another object that an instance may be.
type record struct {
	told
	// By our own clock: when we first saw the pod, saw that it is being deleted, and saw that no
	// node takes it. zero: not so, or not known.
	first, going, waits time.Time
}

// told is the part of an object that is read. The names are the API's.
type told struct {
	Metadata struct {
		Name              string            `json:"name"`
		UID               string            `json:"uid"`
		ResourceVersion   string            `json:"resourceVersion"`
		CreationTimestamp metav1.Time       `json:"creationTimestamp"`
		DeletionTimestamp *metav1.Time      `json:"deletionTimestamp"`
		Grace             *int64            `json:"deletionGracePeriodSeconds"`
		Finalizers        []string          `json:"finalizers"`
		Labels            map[string]string `json:"labels"`
		Annotations       map[string]string `json:"annotations"`
		OwnerReferences   []owner           `json:"ownerReferences"`
	} `json:"metadata"`
	Spec struct {
		NodeName      string `json:"nodeName"`
		RestartPolicy string `json:"restartPolicy"`
		Containers    []struct {
			Name  string `json:"name"`
			Image string `json:"image"`
		} `json:"containers"`
	} `json:"spec"`
	Status struct {
		Phase                 string      `json:"phase"`
		Reason                string      `json:"reason"`
		Message               string      `json:"message"`
		PodIP                 string      `json:"podIP"`
		Conditions            []condition `json:"conditions"`
		InitContainerStatuses []running   `json:"initContainerStatuses"`
		ContainerStatuses     []running   `json:"containerStatuses"`
		Sandbox               struct {
			Name string `json:"name"`
		} `json:"sandbox"` // only in a claim
	} `json:"status"`
}

// owner is the object for which another was made.
type owner struct {
	Kind       string `json:"kind"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
	Controller bool   `json:"controller"`
}

type condition struct {
	Type               string      `json:"type"`
	Status             string      `json:"status"`
	Reason             string      `json:"reason"`
	Message            string      `json:"message"`
	LastTransitionTime metav1.Time `json:"lastTransitionTime"`
}

// running is the state of a container of a pod.
type running struct {
	Name         string `json:"name"`
	Ready        bool   `json:"ready"`
	RestartCount int64  `json:"restartCount"`
	ImageID      string `json:"imageID"`
	State        state  `json:"state"`
	LastState    state  `json:"lastState"`
}

type state struct {
	Waiting *struct {
		Reason  string `json:"reason"`
		Message string `json:"message"`
	} `json:"waiting"`
	Running *struct {
		StartedAt metav1.Time `json:"startedAt"`
	} `json:"running"`
	Terminated *struct {
		ExitCode int64  `json:"exitCode"`
		Signal   int64  `json:"signal"`
		Reason   string `json:"reason"`
		Message  string `json:"message"`
	} `json:"terminated"`
}

// readPod returns the parts of an object that we need. It keeps no memory of u.
func readPod(u *unstructured.Unstructured) (*record, error) {
	var p record
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, &p.told); err != nil {
		return nil, fmt.Errorf("the pod %s: %w", u.GetName(), err)
	}
	// Other annotations are not needed and may be long.
	notes := map[string]string{noteInstance: p.Metadata.Annotations[noteInstance], noteSource: p.Metadata.Annotations[noteSource]}
	if pool := p.Metadata.Annotations[notePool]; pool != "" {
		notes[notePool] = pool
	}
	if sum := p.Metadata.Annotations[noteTemplate]; sum != "" {
		notes[noteTemplate] = sum
	}
	// else there is no choice
	if name := p.Metadata.Annotations[noteContainer]; name != "" && len(p.Spec.Containers) > 1 {
		notes[noteContainer] = name
	}
	p.Metadata.Annotations = notes
	p.Metadata.OwnerReferences = slices.DeleteFunc(
		p.Metadata.OwnerReferences, func(o owner) bool { return o.Kind != "Sandbox" || !o.Controller },
	)
	labels := map[string]string{labelInstallation: cmp.Or(p.Metadata.Labels[labelInstallation], p.Metadata.Labels[claimLabelInstallation])}
	if network := p.Metadata.Labels[labelNetwork]; network != "" {
		labels[labelNetwork] = network
	}
	p.Metadata.Labels = labels
	return &p, nil
}

func (p *record) id() compute.ID { return compute.ID(p.Metadata.Annotations[noteInstance]) }

func (p *record) source() string { return p.Metadata.Annotations[noteSource] }

// ours reports whether a pod is an instance of a source of this installation.
func (p *record) ours(installation, source string) bool {
	return p.Metadata.Labels[labelInstallation] == installation && p.source() == source && p.id() != ""
}

// condition returns the condition of a type if it has that status, else nil.
func (p *record) condition(typ, status string) *condition {
	for i, c := range p.Status.Conditions {
		if c.Type == typ && c.Status == status {
			return &p.Status.Conditions[i]
		}
	}
	return nil
}

// container returns the state of a container. nil: nothing is known.
func (p *record) container(name string) *running {
	for i, c := range p.Status.ContainerStatuses {
		if c.Name == name {
			return &p.Status.ContainerStatuses[i]
		}
	}
	return nil
}

// unschedulable returns the scheduler's condition that no node takes a pod, or that a gate keeps it
// from looking for one. nil: there is none.
func (p *record) unschedulable() *condition {
	if c := p.condition("PodScheduled", "False"); c != nil && (c.Reason == "Unschedulable" || c.Reason == "SchedulingGated") {
		return c
	}
	return nil
}

// hopeless are kubelet's reasons for a waiting container that never go away, with the hints what to
// do.
var hopeless = map[string]string{
	"ImagePullBackOff":           imageHint,
	"ImageInspectError":          "",
	"ErrImageNeverPull":          "pull = never, and the node does not have the image",
	"InvalidImageName":           "look at image",
	"SignatureValidationFailed":  "the node takes only images that are signed",
	"CreateContainerConfigError": "a secret or config map that volumes or the template name is not there, or the image runs as root and security forbids that",
	"CreateContainerError":       "",
	"RunContainerError":          "look at the template's command",
	"CrashLoopBackOff":           "its command ends by itself: it has to stay; without one of the template's own hostler gives it one",
	"PostStartHookError":         "",
}

const imageHint = "look at the image's name, and at pull-secrets"

// final are registries' words for images that we cannot have. A first pull may fail by chance. So
// only a second failure counts, which is known by the pause before it (ImagePullBackOff).
var final = []string{
	"not found", "manifest unknown", "does not exist", "denied", "unauthorized", "forbidden", "no match for platform",
	"no matching manifest", "invalid reference",
}

// hopelessWait reports whether a waiting container will never run.
func hopelessWait(reason, message string) (hint string, yes bool) {
	if reason == "ErrImagePull" {
		return imageHint, slices.ContainsFunc(final, func(words string) bool { return strings.Contains(strings.ToLower(message), words) })
	}
	hint, yes = hopeless[reason]
	return hint, yes
}

// fate says why a pod is not, or will never be, a computer. nil: it is one, or may become one.
// wait: it is not one yet, but may become one. Errors of pods that have ended are marked so.
func (p *record) fate(container string, patience time.Duration, now time.Time) (wait bool, err error) {
	bad := func(kind error, hint, reason, message string) error {
		return &compute.Error{Kind: kind, Err: fmt.Errorf("%s", words(reason, message)), Hint: hint}
	}
	over := func(kind error, reason, message string) error {
		return &compute.Error{Kind: kind, Err: compute.Ended(errors.New(words(reason, message)))}
	}
	if p.Metadata.DeletionTimestamp != nil {
		return false, over(compute.ErrNotFound, "the pod is being deleted", p.end())
	}
	switch p.Status.Phase {
	case "Failed", "Succeeded":
		return false, over(compute.ErrFailed, "the pod has ended", p.end())
	}
	for _, c := range append(append([]running{}, p.Status.InitContainerStatuses...), p.Status.ContainerStatuses...) {
		if w := c.State.Waiting; w != nil {
			if hint, ok := hopelessWait(w.Reason, w.Message); ok {
				message := w.Message
				if t := c.LastState.Terminated; t != nil {
					message = strings.TrimSpace(message + "; it ended before: " + terminated(&c, true))
				}
				return false, bad(compute.ErrFailed, hint, "container "+c.Name+": "+w.Reason, message)
			}
		}
	}
	if c := p.container(container); c != nil && c.State.Running != nil && p.Status.Phase == "Running" {
		return false, nil
	} else if c != nil && c.State.Terminated != nil && p.Spec.RestartPolicy == "Never" {
		// other containers, as one from a webhook, may run on
		return false, over(compute.ErrFailed, "the pod has ended", terminated(c, false))
	}
	if c := p.unschedulable(); c != nil {
		if strings.Contains(c.Message, "persistentvolumeclaim") && strings.Contains(c.Message, "not found") {
			return false, bad(
				compute.ErrInvalid,
				"look at volumes: `kubectl get pvc` lists the claims that there are in the namespace",
				"no node takes the pod", c.Message,
			)
		}
		from := p.waits
		if from.IsZero() {
			from = c.LastTransitionTime.Time
		}
		if now.Sub(from) >= patience {
			return false, bad(
				compute.ErrNoCapacity,
				"add nodes or ask for less; schedule-wait of the source is how long a cluster that adds nodes by itself may take",
				"no node takes the pod", c.Message,
			)
		}
		return true, bad(compute.ErrNoPlace, "", "no node takes the pod yet", c.Message)
	}
	where := "it waits for a node"
	if p.Spec.NodeName != "" {
		where = "it starts on " + p.Spec.NodeName
	}
	for _, c := range p.Status.ContainerStatuses {
		if w := c.State.Waiting; w != nil {
			where += ": " + words(w.Reason, w.Message)
		}
	}
	return true, bad(compute.ErrNotReady, "", where, "")
}

// end says what ended a pod or its containers. "": nothing is known of an end.
func (p *record) end() string {
	// Evicted, NodeLost, UnexpectedAdmissionError, DeadlineExceeded, Preempting
	if p.Status.Reason != "" {
		return words(strings.ToLower(p.Status.Reason), p.Status.Message)
	}
	// PreemptionByScheduler, DeletionByTaintManager, EvictionByEvictionAPI, TerminationByKubelet
	if c := p.condition("DisruptionTarget", "True"); c != nil {
		return words(cmp.Or(disruptions[c.Reason], c.Reason), c.Message)
	}
	for i := range p.Status.ContainerStatuses {
		if said := terminated(&p.Status.ContainerStatuses[i], false); said != "" {
			return said
		}
	}
	return ""
}

// disruptions maps Kubernetes' reasons to words.
var disruptions = map[string]string{
	"PreemptionByScheduler": "preempted by a pod of higher priority", "DeletionByTaintManager": "its node was lost or tainted",
	"EvictionByEvictionAPI": "evicted by request, as when a node is drained", "DeletionByPodGC": "its node is gone",
	"TerminationByKubelet": "evicted by its node",
}

// terminated says how a container ended: the current one, or the one before a restart.
func terminated(c *running, before bool) string {
	t := c.State.Terminated
	if t == nil && (before || c.LastState.Terminated != nil && c.LastState.Terminated.Reason == "OOMKilled") {
		t = c.LastState.Terminated
	}
	if t == nil {
		return ""
	}
	text := fmt.Sprintf("container %s ended with status %d", c.Name, t.ExitCode)
	if t.Reason == "OOMKilled" {
		return reason
	}
	if t.Reason != "" && t.Reason != "Error" && t.Reason != "Completed" {
		text += ", " + t.Reason
	}
	return words(text, t.Message)
}

// reason is what the exit of a run says if memory was short.
const reason = "out of memory"

// words joins a reason and a message in one line.
func words(reason, message string) string {
	text := reason
	if message = strings.TrimSpace(message); message != "" {
		if text != "" {
			text += ": "
		}
		text += message
	}
	return podexec.OneLine(text)
}
