package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/hostler-project/hostler/compute"
)

// fault gives an error its place, and a kind unless it has one.
func (p *Provider) fault(op string, id compute.ID, err error) error {
	if err == nil {
		return nil
	}
	var e *compute.Error
	if errors.As(err, &e) && e.Op != "" {
		return err
	}
	out := &compute.Error{Op: "kubernetes." + op, ID: id, Kind: compute.ErrFailed, Err: err}
	switch {
	case e != nil:
		out.Kind, out.Err, out.Hint = e.Kind, e.Err, e.Hint
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		out.Kind = nil
	case errors.Is(err, errNone):
		out.Kind = compute.ErrNotFound
	default:
		out.Hint, out.Kind = kindOf(err)
	}
	out.Err = brief(out.Err)
	return out
}

// shortened is an error in fewer words.
type shortened struct {
	error
	text string
}

func (s *shortened) Error() string { return s.text }
func (s *shortened) Unwrap() error { return s.error }

// brief names the API server alone where an error has the whole address of a request: a watch's is
// hundreds of letters.
func brief(err error) error {
	failed, ok := errors.AsType[*url.Error](err)
	if !ok {
		return err
	}
	at, e := url.Parse(failed.URL)
	if e != nil || at.Host == "" {
		return err
	}
	return &shortened{err, strings.Replace(err.Error(), failed.Error(), fmt.Sprintf("%s://%s: %v", at.Scheme, at.Host, failed.Err), 1)}
}

// kindOf reads an API server's refusal. Its reasons say what sort it is; of a refusal by admission
// only the words tell quota from policy.
func kindOf(err error) (hint string, kind error) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		var netErr net.Error
		if errors.As(err, &netErr) {
			if strings.Contains(err.Error(), "getting credentials: ") {
				return "the kubeconfig's user gets its credentials from a program, and that failed: try it by hand", compute.ErrUnavailable
			}
			return "does the cluster run, and can it be reached from here?", compute.ErrUnavailable
		}
		return "", compute.ErrFailed
	}
	s := status.Status()
	return read(int(s.Code), s.Message)
}

// read reads a refusal by its status and words. Where only the words are known, as of what a
// controller was told, status is 403.
func read(code int, message string) (hint string, kind error) {
	text := strings.ToLower(message)
	has := func(words string) bool { return strings.Contains(text, words) }
	const role = "a Role and a RoleBinding in the namespace allow it: docs/kubernetes.md has them"
	switch {
	// The words of admission are others', and its status too: they may sound like anything.
	case has("admission webhook") && has("denied the request"):
		return "a webhook of the cluster refuses it: who runs the cluster knows why", compute.ErrDenied
	case has("validatingadmissionpolicy") && has("denied request"):
		return "an admission policy of the cluster refuses it: `kubectl get validatingadmissionpolicy` shows them", compute.ErrDenied
	case has("failed calling webhook"), has("failed to call webhook"):
		return "a webhook of the cluster, without which nothing is made, does not answer", compute.ErrUnavailable
	case code == http.StatusUnauthorized:
		return "the kubeconfig's user is not known to the cluster, or its token has run out", compute.ErrDenied
	case code == http.StatusNotFound && has("could not find the requested resource"):
		return "the cluster does not know this kind of object: agent-sandbox has to be installed there for kind = sandbox and claim",
			compute.ErrInvalid
	case code == http.StatusNotFound:
		if _, after, ok := strings.Cut(message, `namespaces "`); ok {
			name, _, _ := strings.Cut(after, `"`)
			return "does the namespace exist? kubectl create namespace " + name, compute.ErrInvalid
		}
		// of the way into a pod the node's name stands there, where that was taken away
		return "", compute.ErrInvalid
	case code == http.StatusConflict, code == http.StatusGone:
		return "", compute.ErrConflict
	case code == http.StatusUnprocessableEntity, code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge:
		return "the API server does not take the pod: look at the source's keys and its template", compute.ErrInvalid
	case code == http.StatusTooManyRequests, code >= 500:
		return "", compute.ErrUnavailable
	case code != http.StatusForbidden:
		return "", compute.ErrFailed
	case has(" cannot ") && has(" in api group "): // it names who, verb and resource
		return cmp.Or(ruleFor(message), role), compute.ErrDenied
	case has("exceeded quota"):
		return "the namespace's ResourceQuota is used up: `kubectl describe quota` shows by what", compute.ErrNoCapacity
	case has("maximum") && has("usage per"):
		return "the namespace's LimitRange does not allow it", compute.ErrTooLarge
	case has("must specify"):
		return "the namespace's quota wants cores and memory to be said: set cores and memory in the source", compute.ErrInvalid
	case has("podsecurity"):
		return "the namespace's Pod Security standard forbids it: use security = strict, or another namespace", compute.ErrInvalid
	case has("being terminated"):
		return "the namespace is being deleted", compute.ErrUnavailable
	case has("no priorityclass"):
		return "look at priority-class: `kubectl get priorityclasses` lists those that there are", compute.ErrInvalid
	case has("runtimeclass"):
		return "look at runtime-class: `kubectl get runtimeclasses` lists those that there are", compute.ErrInvalid
	case has("serviceaccount"):
		return "look at service-account: `kubectl get serviceaccounts` lists those that there are in the namespace", compute.ErrInvalid
	}
	return role, compute.ErrDenied
}

// refused is how an API server says that somebody may not do something in a namespace.
var refused = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`User "([^"]*)" cannot (\S+) resource "([^"]*)" in API group "([^"]*)" in the namespace "([^"]*)"`)
})

// ruleFor is what would allow what was refused, from the refusal's own words; "": they are others.
func ruleFor(text string) string {
	m := refused().FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return fmt.Sprintf(
		"a Role in the namespace %s, bound to %s, needs the rule - %s", m[5], m[1],
		Grant{Group: m[4], Resource: m[3], Verbs: []string{m[2]}},
	)
}

// absent reports whether an API server says that there is no object of a name. A gateway before it
// says 404 too, and so does one that does not serve the kind: that proves nothing about an object.
func absent(err error, name string) bool {
	var said apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &said) {
		return false
	}
	d := said.Status().Details
	return d != nil && d.Name == name &&
		!slices.ContainsFunc(d.Causes, func(c metav1.StatusCause) bool { return c.Type == metav1.CauseTypeUnexpectedServerResponse })
}
