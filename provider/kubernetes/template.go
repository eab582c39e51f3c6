package kubernetes

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/yaml"

	"github.com/hostler-project/hostler/compute"
)

// home is a directory that every pod gets. It is for the guest program, and with security = strict
// for the user.
const home = "/hostler"

// zone is the label with the zone of a node.
const zone = "topology.kubernetes.io/zone"

// idle is the command of a pod: it sleeps until it is told to end, even if its sleep is killed.
var idle = []any{"sh", "-c", `trap "exit 0" TERM INT; while :; do sleep 2147483647 & wait $!; done`}

// fullPath returns the path of a file that a source names. It does not depend on the caller's
// directory.
func fullPath(path string) (string, error) {
	if rest, ok := strings.CutPrefix(path, "~/"); ok {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", err
		}
		path = filepath.Join(home, rest)
	}
	// controllers, keepers and users have different directories
	if !filepath.IsAbs(path) {
		return "", fmt.Errorf("%s is no absolute path", path)
	}
	return path, nil
}

// template reads the file with the base of the pods. An empty path is an empty pod.
func template(path string) (map[string]any, error) {
	if path == "" {
		return map[string]any{}, nil
	}
	fail := func(err error) (map[string]any, error) {
		return nil, compute.WrongKey(
			"template", "it is one pod, or a PodTemplate, as `kubectl create --dry-run=client -o yaml` writes it",
			"template: %w", err,
		)
	}
	path, err := fullPath(path)
	if err != nil {
		return fail(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return fail(err)
	}
	text, err = yaml.YAMLToJSONStrict(text)
	if err != nil {
		return fail(fmt.Errorf("%s: %w", path, err))
	}
	var head struct {
		Kind     string
		Template json.RawMessage
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return fail(fmt.Errorf("%s: %w", path, err))
	}
	switch head.Kind {
	case "Pod", "":
	case "PodTemplate":
		text = head.Template
	default:
		return fail(fmt.Errorf("%s: it is a %s", path, head.Kind))
	}
	var out unstructured.Unstructured
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil || object == nil {
		return fail(fmt.Errorf("%s: no pod", path))
	}
	// the decoder wants these; it keeps whole numbers whole
	object["apiVersion"], object["kind"] = "v1", "Pod"
	if text, err = json.Marshal(object); err == nil {
		err = out.UnmarshalJSON(text)
	}
	if err != nil {
		return fail(fmt.Errorf("%s: %w", path, err))
	}
	spec, ok := out.Object["spec"].(map[string]any)
	if _, named := out.Object["metadata"]; !ok && (out.Object["spec"] != nil || head.Kind == "" && !named) {
		return fail(fmt.Errorf("%s: no pod: spec is to be what a pod has there", path))
	}
	if list, isList := spec["containers"].([]any); ok && spec["containers"] != nil &&
		(!isList || slices.ContainsFunc(list, func(c any) bool { _, is := c.(map[string]any); return !is })) {
		return fail(fmt.Errorf("%s: spec.containers is no list of containers", path))
	}
	return out.Object, nil
}

// sumOf returns a digest of a pod.
func sumOf(pod map[string]any) (string, error) {
	text, err := json.Marshal(pod) // sorted by key
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:8]), nil
}

// readTemplate is a template file when it was last read.
type readTemplate struct {
	changed time.Time
	size    int64
	sum     string
}

var _ compute.Templated = (*Provider)(nil)

// Template implements compute.Templated. Its text depends on the pod of the source's keys and
// template file. With a warm pool of its own it depends on the pool. For another owner's pool it is
// "".
func (p *Provider) Template() (string, error) {
	if p.gvr == claims && !p.owns() {
		return "", nil
	}
	var now readTemplate
	if p.o.Template != "" {
		path, err := fullPath(p.o.Template)
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
		base, err := template(p.o.Template)
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
	return strings.Trim(dnsWord(string(id), 40), "-") + "-" + strings.ToLower(base32.HexEncoding.EncodeToString(sum[:5]))
}

// dnsWord turns a text into at most n letters, digits and hyphens that begin with a letter.
func dnsWord(text string, n int) string {
	text = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
	if text == "" || text[0] < 'a' {
		text = "h" + text
	}
	return text[:min(len(text), n)]
}

// sourceLabel returns the value of the label that stands for a source: its name, or a digest if a
// label cannot have the name.
func sourceLabel(source string) string {
	if isLabelValue(source) && source != "" {
		return source
	}
	sum := sha256.Sum256([]byte(source))
	return "h." + strings.ToLower(base32.HexEncoding.EncodeToString(sum[:10]))
}

// child returns the object at a key. It makes one if there is none.
func child(of map[string]any, key string) map[string]any {
	c, ok := of[key].(map[string]any)
	if !ok {
		c = map[string]any{}
		of[key] = c
	}
	return c
}

// more appends items to the list at a key.
func more(of map[string]any, key string, items ...any) {
	if len(items) > 0 {
		list, _ := of[key].([]any)
		of[key] = append(slices.Clone(list), items...)
	}
}

// initially sets a value that the template does not set.
func initially(of map[string]any, key string, value any) {
	if _, there := of[key]; !there {
		of[key] = value
	}
}

func set(of map[string]any, values map[string]string) {
	for k, v := range values {
		of[k] = v
	}
}

// manifest returns the pod for a request: the template, overridden by the keys of the source and by
// the request.
func (b *builder) manifest(spec compute.Spec) (*unstructured.Unstructured, error) {
	base, err := template(b.p.o.Template)
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
	head := child(u.Object, "metadata")
	delete(head, "name")
	delete(head, "namespace") // it is unknown before the cluster was asked
	return sumOf(u.Object)
}

// onTemplate turns a template into the pod for a request.
func (b *builder) onTemplate(base map[string]any, spec compute.Spec) (*unstructured.Unstructured, error) {
	u := &unstructured.Unstructured{Object: base}
	delete(base, "status")
	head := child(base, "metadata")
	for _, key := range []string{
		"uid", "resourceVersion", "creationTimestamp", "generateName", "ownerReferences", "managedFields", "selfLink",
		"generation",
	} {
		delete(head, key)
	}
	base["apiVersion"], base["kind"] = "v1", "Pod"
	b.mark(u, spec.ID)
	s := child(base, "spec")
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
		return nil, compute.WrongKey(
			"image", "say image = debian:13 in [kubernetes], or have the template name one", "image: %w", errNoImage,
		)
	}
	b.runtime(s, c, spec)
	b.resources(c, spec)
	if err := b.security(notes, s, c); err != nil {
		return nil, err
	}
	if s["hostNetwork"] == true && b.p.plan.network != "" {
		return nil, compute.WrongKey(
			"template", "take it out of the template, or set network = open",
			"template: spec.hostNetwork has the pod on its node's own network, for which no network policy counts",
		)
	}
	return u, nil
}

// mark gives an object the name and the marks of an instance.
func (b *builder) mark(u *unstructured.Unstructured, id compute.ID) {
	head := child(u.Object, "metadata")
	head["name"], head["namespace"] = b.p.podName(id), b.p.c.namespace
	labels, notes := meta(u)
	set(labels, b.p.plan.labels)
	set(notes, b.p.plan.annotations)
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
			initially(c, "name", "main")
			return c, nil
		}
	}
	return nil, compute.WrongKey("container", "", "container = %s: the template has none of this name", b.p.o.Container)
}

// runtime sets how and where the pod runs.
func (b *builder) runtime(s, c map[string]any, spec compute.Spec) {
	s["restartPolicy"] = "Never" // a restarted container has lost its files
	initially(s, "enableServiceLinks", false)
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
		initially(s, "terminationGracePeriodSeconds", int64(1))
	}
	if name := dnsWord(string(spec.ID), 63); name == string(spec.ID) && !strings.HasSuffix(name, "-") {
		initially(s, "hostname", name)
	}
	if len(b.p.plan.selector) > 0 || spec.Location != "" {
		selector := child(s, "nodeSelector")
		set(selector, b.p.plan.selector)
		if spec.Location != "" {
			selector[zone] = spec.Location
		}
	}
	more(s, "tolerations", b.p.plan.tolerations...)
	for _, name := range b.p.o.PullSecrets {
		more(s, "imagePullSecrets", map[string]any{"name": name})
	}
	if b.p.o.PullPolicy != "" {
		c["imagePullPolicy"] = map[string]string{"missing": "IfNotPresent", "always": "Always", "never": "Never"}[b.p.o.PullPolicy]
	}
	more(c, "env", b.p.plan.env...)
	more(s, "volumes", append([]any{map[string]any{"name": "hostler", "emptyDir": map[string]any{}}}, b.p.plan.volumes...)...)
	mount := map[string]any{"name": "hostler", "mountPath": home}
	more(c, "volumeMounts", append([]any{mount}, b.p.plan.mounts...)...)
	if c["command"] == nil && c["args"] == nil {
		c["command"] = idle
		if b.p.o.AgentIn != "" {
			c["command"] = []any{home + "/" + agentFile, "init", "--", home + "/" + agentFile, "serve", "stdio"}
			c["stdin"] = true // it ends with its input
		}
	}
	if b.p.o.AgentIn != "" {
		init := map[string]any{
			"name": carrier, "image": b.p.o.AgentIn, "command": []any{"/hostler-agent", "copy", home + "/" + agentFile},
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
	r := child(c, "resources")
	r["requests"], r["limits"] = maps.Clone(child(r, "requests")), maps.Clone(child(r, "limits"))
	keys := map[string]bool{"cpu": b.p.o.Cores > 0, "memory": b.p.o.Memory > 0, "ephemeral-storage": b.p.o.Disk > 0}
	for _, of := range []map[string]any{child(r, "requests"), child(r, "limits")} {
		for name, value := range want {
			// a key overrides the template; a request only asks for at least its size
			if keys[name] || !atLeast(of[name], value) {
				of[name] = value
			}
		}
	}
}

// atLeast reports whether a template has at least so much of a resource.
func atLeast(has any, want string) bool {
	if has == nil {
		return false
	}
	a, err1 := resource.ParseQuantity(fmt.Sprint(has))
	b, err2 := resource.ParseQuantity(want)
	return err1 == nil && err2 == nil && a.Cmp(b) >= 0
}
