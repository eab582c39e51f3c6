package kubernetes

import (
	"context"
	"errors"
	"net"
	"net/http"
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
		out.Kind, out.Hint = kindOf(err)
	}
	return out
}

// kindOf reads an API server's refusal. Its reasons say what sort it is; of a refusal by admission only the words tell quota from policy.
func kindOf(err error) (kind error, hint string) {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		var netErr net.Error
		if errors.As(err, &netErr) {
			return compute.ErrUnavailable, "does the cluster run, and can it be reached from here?"
		}
		return compute.ErrFailed, ""
	}
	s := status.Status()
	text := strings.ToLower(s.Message)
	const role = "a Role and a RoleBinding in the namespace allow it: docs/kubernetes.md has them"
	switch {
	case s.Code == http.StatusForbidden && strings.Contains(text, " cannot ") && strings.Contains(text, " in api group "): // it names who, verb and resource
		return compute.ErrDenied, role
	case s.Code == http.StatusForbidden && strings.Contains(text, "exceeded quota"):
		return compute.ErrNoCapacity, "the namespace's ResourceQuota is used up: `kubectl describe quota` shows by what"
	case s.Code == http.StatusForbidden && strings.Contains(text, "maximum") && strings.Contains(text, "usage per"):
		return compute.ErrTooLarge, "the namespace's LimitRange does not allow it"
	case s.Code == http.StatusForbidden && strings.Contains(text, "must specify"):
		return compute.ErrInvalid, "the namespace's quota wants cores and memory to be said: set cores and memory in the source"
	case s.Code == http.StatusForbidden && strings.Contains(text, "podsecurity"):
		return compute.ErrInvalid, "the namespace's Pod Security standard forbids it: use security = strict, or another namespace"
	case s.Code == http.StatusForbidden && strings.Contains(text, "being terminated"):
		return compute.ErrUnavailable, "the namespace is being deleted"
	case s.Code == http.StatusForbidden && strings.Contains(text, "admission webhook"), s.Code == http.StatusBadRequest && strings.Contains(text, "admission webhook"):
		return compute.ErrDenied, "a webhook of the cluster refuses it"
	case s.Code == http.StatusForbidden && strings.Contains(text, "no priorityclass"), s.Code == http.StatusForbidden && strings.Contains(text, "serviceaccount"), s.Code == http.StatusForbidden && strings.Contains(text, "runtimeclass"):
		return compute.ErrInvalid, ""
	case s.Code == http.StatusForbidden:
		return compute.ErrDenied, role
	case s.Code == http.StatusUnauthorized:
		return compute.ErrDenied, "the kubeconfig's user is not known to the cluster, or its token has run out"
	case s.Code == http.StatusNotFound:
		return compute.ErrInvalid, "does the namespace exist? kubectl create namespace NAME"
	case s.Code == http.StatusConflict, s.Code == http.StatusGone:
		return compute.ErrConflict, ""
	case s.Code == http.StatusUnprocessableEntity, s.Code == http.StatusBadRequest, s.Code == http.StatusRequestEntityTooLarge:
		return compute.ErrInvalid, "the API server does not take the pod: look at the source's keys and its template"
	case s.Code == http.StatusInternalServerError && strings.Contains(text, "webhook"):
		return compute.ErrUnavailable, "a webhook of the cluster does not answer"
	case s.Code == http.StatusTooManyRequests, s.Code >= 500:
		return compute.ErrUnavailable, ""
	}
	return compute.ErrFailed, ""
}
