package container

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/hostler-project/hostler/compute"
)

var (
	errNone    = errors.New("there is no such container")
	errForeign = errors.New("a container of this name is there, and it is not this installation's")
)

// unreachable returns the error for a socket that cannot be connected to.
func (e *engine) unreachable(ctx context.Context, socket string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	out := &compute.Error{Kind: compute.ErrUnavailable, Err: err}
	program := "docker"
	if strings.Contains(socket, "podman") {
		program = "podman"
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		out.Kind = compute.ErrDenied
		out.Hint = "become a member of the group " + program + ", which makes you as good as root on this machine, or use rootless podman: systemctl --user start podman.socket"
	case program == "podman" && os.Geteuid() != 0:
		out.Hint = "is podman's service running? systemctl --user start podman.socket"
	default:
		out.Hint = fmt.Sprintf(
			"is %s running? systemctl start %s; or set socket to where it listens", program,
			map[bool]string{true: "docker", false: "podman.socket"}[program == "docker"],
		)
	}
	return out
}

// broken returns the error for a connection that failed under way.
func broken(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var e *compute.Error
	if errors.As(err, &e) {
		return e // our own, from dial, without the wrapping of net/http
	}
	return &compute.Error{
		Kind: compute.ErrUnavailable, Err: fmt.Errorf("the engine broke off: %w", err),
		Hint: "is it being stopped? its own log says more",
	}
}

// fault adds the operation and the instance to an error, and a kind unless it has one.
func (p *Provider) fault(op string, id compute.ID, err error) error {
	if err == nil {
		return nil
	}
	var e *compute.Error
	if errors.As(err, &e) && e.Op != "" {
		return err
	}
	out := &compute.Error{Op: "container." + op, ID: id, Kind: compute.ErrFailed, Err: err}
	switch {
	case e != nil:
		out.Kind, out.Err, out.Hint = e.Kind, e.Err, e.Hint
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		out.Kind = nil
	case errors.Is(err, errNone):
		out.Kind = compute.ErrNotFound
	case errors.Is(err, errForeign):
		out.Kind, out.Hint = compute.ErrConflict, "it is left alone; remove or rename it"
		if op != "Create" {
			out.Kind, out.Hint = compute.ErrNotFound, ""
		}
	default:
		out.Hint, out.Kind = kindOf(err)
	}
	return out
}

// kindOf returns the kind of an engine's refusal. The statuses of Docker and Podman say little (a
// full disk and a port in use are both 500), so it looks at the words too. They have been the same
// for many versions.
func kindOf(err error) (hint string, kind error) {
	text := strings.ToLower(err.Error())
	has := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	switch {
	case has("no space left on device", "disk quota exceeded"), errors.Is(err, syscall.ENOSPC):
		return "the disk under the engine is full: `docker system df` shows what takes it", compute.ErrNoCapacity
	case has("port is already allocated", "address already in use"):
		return "leave the first port out of ports, and each container gets a free one", compute.ErrNoCapacity
	case has("could not find an available", "predefined address pools"):
		return "the engine has no addresses left for networks", compute.ErrNoCapacity
	case has("cannot allocate memory", "resource temporarily unavailable", "range of cpus is"):
		return "", compute.ErrNoCapacity
	case has("storage-opt", "storage option", "storage opt"):
		return "the engine's storage driver cannot limit a container's disk (overlay2 needs xfs with pquota): leave disk out",
			compute.ErrInvalid
	case has("hybrid mode", "invalid file system type on '/sys/fs/cgroup"):
		return "its runtime refuses a machine with cgroup v1 and v2: start it where the v2 mount is hidden, or use runc",
			compute.ErrUnavailable
	case has("setrlimit", "rlimit"):
		return "set ulimits lower than what the engine itself has, as ulimits = nofile=1000:1000, nproc=1000:1000", compute.ErrInvalid
	case has("network") && has("not found"):
		return "make the network first (docker network create NAME), or leave network out", compute.ErrInvalid
	case has("exec format error"):
		return "the image is for another kind of machine", compute.ErrInvalid
	case has(inside):
		return "hostler's guest program on this machine was moved or removed since the container was made: discard the instance, or set copy-agent = yes",
			compute.ErrFailed
	case has("bind source path does not exist"):
		return "a directory of mounts is not there", compute.ErrInvalid
	}
	switch status(err) {
	case http.StatusBadRequest, http.StatusUnprocessableEntity:
		return "", compute.ErrInvalid
	case http.StatusUnauthorized, http.StatusForbidden:
		return "", compute.ErrDenied
	case http.StatusNotFound:
		return "", compute.ErrNotFound
	case http.StatusConflict:
		return "", compute.ErrConflict
	case http.StatusServiceUnavailable:
		return "", compute.ErrUnavailable
	}
	return "", compute.ErrFailed
}
