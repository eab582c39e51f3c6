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

// fault adds the operation and the instance to an error, and a kind if it has none.
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

// shortened is an error with a shorter text.
type shortened struct {
	error
	text string
}

func (s *shortened) Error() string { return s.text }
func (s *shortened) Unwrap() error { return s.error }

// brief shortens the address of a request in an error to the API server's. A watch's address has
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

// kindOf reads an API server's refusal. Its status tells the kind. Only the words of a refusal by
// admission tell quota from policy.
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

// read reads a refusal by its status and words. If only the words are known, as from a controller's
// message, the status is 403.
func read(code int, message string) (hint string, kind error) {
	text := strings.ToLower(message)
	has := func(words string) bool { return strings.Contains(text, words) }
	const role = "a Role and a RoleBinding in the namespace allow it: docs/kubernetes.md has them"
	switch {
	// An admission webhook chooses its words and status, so they may look like any other refusal.
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
		// an exec gets this, with the node's name, if the node was removed
		return "", compute.ErrInvalid
	case code == http.StatusConflict, code == http.StatusGone:
		return "", compute.ErrConflict
	case code == http.StatusUnprocessableEntity, code == http.StatusBadRequest, code == http.StatusRequestEntityTooLarge:
		return "the API server does not take the pod: look at the source's keys and its template", compute.ErrInvalid
	case code == http.StatusTooManyRequests, code >= 500:
		return "", compute.ErrUnavailable
	case code != http.StatusForbidden:
		return "", compute.ErrFailed
	case has(" cannot ") && has(" in api group "): // it names the user, the verb and the resource
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

// refused matches an API server's words that a user may not do something in a namespace.
var refused = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`User "([^"]*)" cannot (\S+) resource "([^"]*)" in API group "([^"]*)" in the namespace "([^"]*)"`)
})

// ruleFor returns the rule that would allow what was refused, by the words of that; "": unknown.
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

// absent reports whether an API server says that no object has a name. A gateway, or a server
// without the kind, also returns 404. That proves nothing about an object.
func absent(err error, name string) bool {
	var said apierrors.APIStatus
	if !apierrors.IsNotFound(err) || !errors.As(err, &said) {
		return false
	}
	d := said.Status().Details
	return d != nil && d.Name == name &&
		!slices.ContainsFunc(d.Causes, func(c metav1.StatusCause) bool { return c.Type == metav1.CauseTypeUnexpectedServerResponse })
}
