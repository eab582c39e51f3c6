package kubernetes

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/provider/kubernetes/manifest"
)

// zone is the label with the zone of a node.
const zone = "topology.kubernetes.io/zone"

// idle is the command of a pod: it sleeps until it is told to end, even if its sleep is killed.
var idle = []any{"sh", "-c", `trap "exit 0" TERM INT; while :; do sleep 2147483647 & wait $!; done`}

// readTemplate is a template file when it was last read.
type readTemplate struct {
	changed time.Time
	size    int64
	sum     string
}

// Template is provider.Abilities.Template. Its text depends on the pod of the source's keys and
// template file. With a warm pool of its own it depends on the pool. For another owner's pool it is
// "".
func (p *Provider) Template() (string, error) {
	if p.gvr == claims && !p.owns() {
		return "", nil
	}
	var now readTemplate
	if p.o.Template != "" {
		path, err := manifest.FullPath(p.o.Template)
		if err != nil {
			return "", err
		}
		at, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		now.changed, now.size = at.ModTime(), at.Size()
	}
	p.mu.Lock()
	was := p.seen
	p.mu.Unlock()
	if was.sum != "" && was.changed.Equal(now.changed) && was.size == now.size {
		return was.sum, nil
	}
	if p.owns() {
		s, err := p.pool.stock()
		if err != nil {
			return "", err
		}
		now.sum = s.name
	} else {
		base, err := manifest.Read(p.o.Template)
		if err != nil {
			return "", err
		}
		if now.sum, err = p.build.usual(base); err != nil {
			return "", err
		}
	}
	p.mu.Lock()
	p.seen = now
	p.mu.Unlock()
	return now.sum, nil
}

// podName returns the name of an instance's pod: its id as far as a host name allows, and a suffix
// that separates installations. The name proves nothing.
func (p *Provider) podName(id compute.ID) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q", p.o.Installation, p.o.Source, id))
	return strings.Trim(manifest.Word(string(id), 40), "-") + "-" + strings.ToLower(base32.HexEncoding.EncodeToString(sum[:5]))
}

// sourceLabel returns the value of the label that stands for a source: its name, or a digest if a
// label cannot have the name.
func sourceLabel(source string) string {
	if manifest.IsLabelValue(source) && source != "" {
		return source
	}
	sum := sha256.Sum256([]byte(source))
	return "h." + strings.ToLower(base32.HexEncoding.EncodeToString(sum[:10]))
}

// manifest returns the pod for a request: the template, overridden by the keys of the source and by
// the request.
func (b *builder) manifest(spec compute.Spec) (*unstructured.Unstructured, error) {
	base, err := manifest.Read(b.p.o.Template)
	if err != nil {
		return nil, err
	}
	sum, err := b.usual(base)
	if err != nil && spec.Image == "" { // else the request has what the source lacks
		return nil, err
	}
	u, err := b.onTemplate(base, spec)
	if err == nil && sum != "" {
		_, notes := meta(u)
		notes[noteTemplate] = sum
	}
	return u, err
}

// errNoImage says that neither the source nor the request names an image.
var errNoImage = errors.New("nothing says what pods are made of")

// usual returns a digest of the pod that a template gives for an empty request. It does not change
// the template.
func (b *builder) usual(base map[string]any) (string, error) {
	u, err := b.onTemplate(runtime.DeepCopyJSON(base), compute.Spec{})
	if err != nil {
		return "", err
	}
	head := manifest.Child(u.Object, "metadata")
	delete(head, "name")
	delete(head, "namespace") // it is unknown before the cluster was asked
	return manifest.Digest(u.Object)
}

// onTemplate turns a template into the pod for a request.
func (b *builder) onTemplate(base map[string]any, spec compute.Spec) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{Object: base}
	delete(base, "status")
	head := manifest.Child(base, "metadata")
	for _, key := range []string{
		"uid", "resourceVersion", "creationTimestamp", "generateName", "ownerReferences", "managedFields", "selfLink",
		"generation",
	} {
		delete(head, key)
	}
	base["apiVersion"], base["kind"] = "v1", "Pod"
	b.mark(u, spec.ID)
	s := manifest.Child(base, "spec")
	delete(s, "nodeName")
	c, err := b.main(s)
	if err != nil {
		return nil, err
	}
	if image := cmp.Or(spec.Image, b.p.o.Image); image != "" {
		c["image"] = image
	}
	_, notes := meta(u)
	notes[noteContainer] = c["name"]
	if image, _ := c["image"].(string); image == "" {
		return nil, provider.WrongKey(
			"image", "say image = debian:13 in [kubernetes], or have the template name one", "image: %w", errNoImage,
		)
	}
	b.runtime(s, c, spec)
	b.resources(c, spec)
	limits := manifest.Security{Level: b.p.o.Security, User: b.p.o.User}
	if err := limits.Apply(notes, s, c); err != nil {
		return nil, err
	}
	if s["hostNetwork"] == true && b.p.plan.network != "" {
		return nil, provider.WrongKey(
			"template", "take it out of the template, or set network = open",
			"template: spec.hostNetwork has the pod on its node's own network, for which no network policy counts",
		)
	}
	return u, nil
}

// mark gives an object the name and the marks of an instance.
func (b *builder) mark(u *unstructured.Unstructured, id compute.ID) {
	head := manifest.Child(u.Object, "metadata")
	head["name"], head["namespace"] = b.p.podName(id), b.p.c.namespace
	labels, notes := meta(u)
	manifest.Set(labels, b.p.plan.labels)
	manifest.Set(notes, b.p.plan.annotations)
	labels[labelInstallation], labels[labelSource] = b.p.o.Installation, sourceLabel(b.p.o.Source)
	delete(labels, labelNetwork)
	if b.p.plan.network != "" {
		labels[labelNetwork] = b.p.plan.network
	}
	notes[noteInstance], notes[noteSource] = string(id), b.p.o.Source
}

// main returns the pod's container for commands. It makes one if the template has none.
func (b *builder) main(s map[string]any) (map[string]any, error) {
	list, _ := s["containers"].([]any)
	if len(list) == 0 {
		list = []any{map[string]any{"name": cmp.Or(b.p.o.Container, "main")}}
		s["containers"] = list
	}
	for _, c := range list {
		c := c.(map[string]any)
		if name, _ := c["name"].(string); b.p.o.Container == "" || name == b.p.o.Container {
			manifest.Default(c, "name", "main")
			return c, nil
		}
	}
	return nil, provider.WrongKey("container", "", "container = %s: the template has none of this name", b.p.o.Container)
}

// runtime sets how and where the pod runs.
func (b *builder) runtime(s, c map[string]any, spec compute.Spec) {
	s["restartPolicy"] = "Never" // a restarted container has lost its files
	manifest.Default(s, "enableServiceLinks", false)
	s["automountServiceAccountToken"] = b.p.o.Account != ""
	delete(s, "serviceAccount")
	delete(s, "serviceAccountName")
	for key, value := range map[string]string{
		"serviceAccountName": b.p.o.Account, "runtimeClassName": b.p.o.Runtime, "priorityClassName": b.p.o.Priority,
	} {
		if value != "" {
			s[key] = value
		}
	}
	if b.p.o.Grace > 0 {
		s["terminationGracePeriodSeconds"] = int64(math.Ceil(b.p.o.Grace.Seconds()))
	} else {
		manifest.Default(s, "terminationGracePeriodSeconds", int64(1))
	}
	if name := manifest.Word(string(spec.ID), 63); name == string(spec.ID) && !strings.HasSuffix(name, "-") {
		manifest.Default(s, "hostname", name)
	}
	if len(b.p.plan.selector) > 0 || spec.Location != "" {
		selector := manifest.Child(s, "nodeSelector")
		manifest.Set(selector, b.p.plan.selector)
		if spec.Location != "" {
			selector[zone] = spec.Location
		}
	}
	manifest.Append(s, "tolerations", b.p.plan.tolerations...)
	for _, name := range b.p.o.PullSecrets {
		manifest.Append(s, "imagePullSecrets", map[string]any{"name": name})
	}
	if b.p.o.PullPolicy != "" {
		c["imagePullPolicy"] = map[string]string{"missing": "IfNotPresent", "always": "Always", "never": "Never"}[b.p.o.PullPolicy]
	}
	manifest.Append(c, "env", b.p.plan.env...)
	manifest.Append(s, "volumes", append([]any{map[string]any{"name": "hostler", "emptyDir": map[string]any{}}}, b.p.plan.volumes...)...)
	mount := map[string]any{"name": "hostler", "mountPath": manifest.Home}
	manifest.Append(c, "volumeMounts", append([]any{mount}, b.p.plan.mounts...)...)
	if c["command"] == nil && c["args"] == nil {
		c["command"] = idle
		if b.p.o.AgentIn != "" {
			c["command"] = []any{manifest.Home + "/" + agentFile, "init", "--", manifest.Home + "/" + agentFile, "serve", "stdio"}
			c["stdin"] = true // it ends with its input
		}
	}
	if b.p.o.AgentIn != "" {
		init := map[string]any{
			"name": carrier, "image": b.p.o.AgentIn, "command": []any{"/hostler-agent", "copy", manifest.Home + "/" + agentFile},
			"volumeMounts": []any{mount},
			"resources": map[string]any{
				"requests": map[string]any{"cpu": "10m", "memory": "16Mi"},
				"limits":   map[string]any{"cpu": "1", "memory": "64Mi"},
			},
		}
		list, _ := s["initContainers"].([]any)
		s["initContainers"] = append([]any{init}, list...)
	}
}

// resources sets the size of the pod: at least what the request asks for, or the source's size if
// that is larger. Requests equal limits, so a node is never asked for more than it has.
func (b *builder) resources(c map[string]any, spec compute.Spec) {
	want := map[string]string{}
	if cores := max(b.p.o.Cores, float64(spec.Cores)); cores > 0 {
		want["cpu"] = fmt.Sprintf("%dm", int64(math.Ceil(cores*1000)))
	}
	if memory := max(b.p.o.Memory, spec.Memory); memory > 0 {
		want["memory"] = fmt.Sprint(memory)
	}
	if disk := max(b.p.o.Disk, spec.Disk); disk > 0 {
		want["ephemeral-storage"] = fmt.Sprint(disk)
	}
	if spec.GPUs > 0 {
		want[b.p.o.GPU] = fmt.Sprint(spec.GPUs)
	}
	if len(want) == 0 {
		return
	}
	r := manifest.Child(c, "resources")
	r["requests"], r["limits"] = maps.Clone(manifest.Child(r, "requests")), maps.Clone(manifest.Child(r, "limits"))
	keys := map[string]bool{"cpu": b.p.o.Cores > 0, "memory": b.p.o.Memory > 0, "ephemeral-storage": b.p.o.Disk > 0}
	for _, of := range []map[string]any{manifest.Child(r, "requests"), manifest.Child(r, "limits")} {
		for name, value := range want {
			// a key overrides the template; a request only asks for at least its size
			if keys[name] || !manifest.AtLeast(of[name], value) {
				of[name] = value
			}
		}
	}
}
