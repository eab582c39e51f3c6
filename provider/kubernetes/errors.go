package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

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
	return out
}

// kindOf reads an API server's refusal. Its reasons say what sort it is; of a refusal by admission only the words tell quota from policy.
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
	text := strings.ToLower(s.Message)
	const role = "a Role and a RoleBinding in the namespace allow it: docs/kubernetes.md has them"
	switch {
	case s.Code == http.StatusForbidden && strings.Contains(text, " cannot ") && strings.Contains(text, " in api group "): // it names who, verb and resource
		return cmp.Or(ruleFor(s.Message), role), compute.ErrDenied
	case s.Code == http.StatusForbidden && strings.Contains(text, "exceeded quota"):
		return "the namespace's ResourceQuota is used up: `kubectl describe quota` shows by what", compute.ErrNoCapacity
	case s.Code == http.StatusForbidden && strings.Contains(text, "maximum") && strings.Contains(text, "usage per"):
		return "the namespace's LimitRange does not allow it", compute.ErrTooLarge
	case s.Code == http.StatusForbidden && strings.Contains(text, "must specify"):
		return "the namespace's quota wants cores and memory to be said: set cores and memory in the source", compute.ErrInvalid
	case s.Code == http.StatusForbidden && strings.Contains(text, "podsecurity"):
		return "the namespace's Pod Security standard forbids it: use security = strict, or another namespace", compute.ErrInvalid
	case s.Code == http.StatusForbidden && strings.Contains(text, "being terminated"):
		return "the namespace is being deleted", compute.ErrUnavailable
	case s.Code == http.StatusForbidden && strings.Contains(text, "admission webhook"), s.Code == http.StatusBadRequest && strings.Contains(text, "admission webhook"):
		return "a webhook of the cluster refuses it", compute.ErrDenied
	case s.Code == http.StatusForbidden && strings.Contains(text, "no priorityclass"), s.Code == http.StatusForbidden && strings.Contains(text, "serviceaccount"), s.Code == http.StatusForbidden && strings.Contains(text, "runtimeclass"):
		return "", compute.ErrInvalid
	case s.Code == http.StatusForbidden:
		return role, compute.ErrDenied
	case s.Code == http.StatusUnauthorized:
		return "the kubeconfig's user is not known to the cluster, or its token has run out", compute.ErrDenied
	case s.Code == http.StatusNotFound:
		return "does the namespace exist? kubectl create namespace NAME", compute.ErrInvalid
	case s.Code == http.StatusConflict, s.Code == http.StatusGone:
		return "", compute.ErrConflict
	case s.Code == http.StatusUnprocessableEntity, s.Code == http.StatusBadRequest, s.Code == http.StatusRequestEntityTooLarge:
		return "the API server does not take the pod: look at the source's keys and its template", compute.ErrInvalid
	case s.Code == http.StatusInternalServerError && strings.Contains(text, "webhook"):
		return "a webhook of the cluster does not answer", compute.ErrUnavailable
	case s.Code == http.StatusTooManyRequests, s.Code >= 500:
		return "", compute.ErrUnavailable
	}
	return "", compute.ErrFailed
}

// refused is how an API server says that somebody may not do something in a namespace.
var refused = regexp.MustCompile(`User "([^"]*)" cannot (\S+) resource "([^"]*)" in API group "([^"]*)" in the namespace "([^"]*)"`)

// ruleFor is what would allow what was refused, from the refusal's own words; "": they are others.
func ruleFor(text string) string {
	m := refused.FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return fmt.Sprintf("a Role in the namespace %s, bound to %s, needs the rule - %s", m[5], m[1], Grant{Group: m[4], Resource: m[3], Verbs: []string{m[2]}})
}
