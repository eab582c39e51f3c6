package kubernetes

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider/kubernetes/kubeconfig"
)

var namespaces = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}

// identity says which computer an instance is: its place, and for agent-sandbox the pod there,
// which may be replaced under the same name.
type identity struct {
	kubeconfig.Place
	uid string // the namespace's uid, unique in all clusters; Unknown: we may not read it
	pod sighted
}

// sighted is a pod as it was when it was entered; the zero value: none was. If the pod or its
// container is replaced, the files are lost.
type sighted struct {
	name, uid string
	restarts  int64
}

func (i identity) String() string {
	text := strings.Join([]string{i.Server, i.Authority, i.Namespace, i.uid}, " ")
	if i.pod != (sighted{}) {
		text += fmt.Sprintf(" %s %s %d", i.pod.name, i.pod.uid, i.pod.restarts)
	}
	return text
}

// readIdentity parses the text of String.
func readIdentity(text string) (i identity, err error) {
	f := strings.Split(text, " ")
	if len(f) != 4 && len(f) != 7 {
		return i, fmt.Errorf("%q is no identity of a computer", text)
	}
	i.Place, i.uid = kubeconfig.Place{Server: f[0], Authority: f[1], Namespace: f[2]}, f[3]
	if len(f) == 7 {
		i.pod = sighted{name: f[4], uid: f[5]}
		i.pod.restarts, err = strconv.ParseInt(f[6], 10, 64)
	}
	return i, err
}

// barredLasts is how long we do not ask again after reading the namespace was forbidden. The right
// is optional, and each new instance needs the answer.
const barredLasts = 10 * time.Minute

// namespaceUID returns the namespace's uid, and asks for it once. If reading it was forbidden
// lately, it is unknown without asking, unless anew is set.
func (c *cluster) namespaceUID(ctx context.Context, now time.Time, anew bool) (string, error) {
	c.mu.Lock()
	uid, barred := c.uid, !anew && !c.barred.IsZero() && now.Sub(c.barred) < barredLasts
	c.mu.Unlock()
	switch {
	case uid != "":
		return uid, nil
	case barred:
		return kubeconfig.Unknown, nil
	}
	var got *unstructured.Unstructured
	err := c.call(ctx, func(ctx context.Context, d dynamic.Interface) (err error) {
		got, err = d.Resource(namespaces).Get(ctx, c.namespace, metav1.GetOptions{})
		return err
	})
	switch {
	case apierrors.IsForbidden(err):
		c.mu.Lock()
		c.barred = now
		c.mu.Unlock()
		return kubeconfig.Unknown, nil
	case apierrors.IsNotFound(err):
		return kubeconfig.Unknown, nil
	case err != nil:
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.uid = string(got.GetUID())
	return c.uid, nil
}

// Identity says where an instance is or will be, and after it was entered, which pod it is.
func (p *Provider) Identity(ctx context.Context, id compute.ID) (string, error) {
	s, err := p.c.ask()
	if err != nil {
		return "", p.fault("Identity", id, err)
	}
	i := identity{Place: s.Place}
	if i.uid, err = p.c.namespaceUID(ctx, time.Now(), false); err != nil {
		return "", p.fault("Identity", id, err)
	}
	if made := p.watch().get(p.podName(id)); made != nil && p.gvr != pods {
		if pod := p.objects.pod(made); pod != nil {
			i.pod = p.objects.sight(pod)
		}
	}
	return i.String(), nil
}

// Leads returns nil if the configuration leads to the place of that identity. If the configuration
// has changed, the namespace's uid may prove that the place is the same.
func (p *Provider) Leads(ctx context.Context, text string) error {
	was, err := readIdentity(text)
	if err == nil {
		err = p.leads(ctx, was)
	}
	return p.fault("Leads", compute.ID(p.o.Source), err)
}

func (p *Provider) leads(ctx context.Context, was identity) error {
	s, err := p.c.ask()
	if err != nil {
		return err
	}
	now := s.Place
	if now == was.Place { // a namespace that was made again has nothing of the old one
		return nil
	}
	if now.Namespace == was.Namespace {
		// this is rare, and the user may have granted the right just for this
		uid, err := p.c.namespaceUID(ctx, time.Now(), true)
		switch {
		case err != nil:
			return err
		case uid != kubeconfig.Unknown && was.uid != kubeconfig.Unknown:
			if uid == was.uid {
				return nil
			}
		case now.Related(was.Place):
			return nil
		}
	}
	return kubeconfig.Elsewhere(now, was.Place)
}

// Same returns nil if an instance's pod is the one that was entered first. An instance that is a
// pod itself has a name that no other pod gets.
func (p *Provider) Same(ctx context.Context, id compute.ID, text string) error {
	was, err := readIdentity(text)
	if err == nil {
		err = p.leads(ctx, was)
	}
	if err == nil && was.pod != (sighted{}) {
		if err = p.objects.look(ctx, was.pod.name); err == nil {
			err = p.objects.replaced(was.pod)
		}
	}
	return p.fault("Same", id, err)
}

// sight returns the marks by which a pod is recognised.
func (s *objects) sight(pod *record) sighted {
	out := sighted{name: pod.Metadata.Name, uid: pod.Metadata.UID}
	if c := pod.container(s.containerOf(pod)); c != nil {
		out.restarts = c.RestartCount
	}
	return out
}

// replaced says what became of a pod that was entered, as far as the watch knows. nil: it is the
// same pod.
func (s *objects) replaced(was sighted) error {
	text := ""
	switch now := s.p.podWatch().get(was.name); {
	case now == nil:
		text = "is gone"
	case now.Metadata.UID != was.uid:
		text = "was replaced by another of its name"
	case s.sight(now) != was:
		text = words("was started again", terminated(now.container(s.containerOf(now)), true))
	default:
		return nil
	}
	return &compute.Error{Kind: compute.ErrFailed, Err: compute.Ended(fmt.Errorf("its pod %s %s: what was in it is lost", was.name, text))}
}
