package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/hostler-project/hostler/compute"
)

// dockerSocket returns the path of the local docker daemon's socket.
func (o Options) dockerSocket() string {
	if o.DockerSocket != "" {
		return o.DockerSocket
	}
	if path, ok := strings.CutPrefix(os.Getenv("DOCKER_HOST"), "unix://"); ok {
		return path
	}
	return "/var/run/docker.sock"
}

// openDaemon makes the local docker daemon save an image, and reads it.
func (o *offer) openDaemon(ctx context.Context) error {
	r, opt := o.ref, o.opt
	socket := o.s.opt.dockerSocket()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	o.closers = append(o.closers, client.CloseIdleConnections)
	get := func(what string) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://docker/images/"+url.PathEscape(r.Tag)+"/"+what, nil)
		if err != nil {
			return nil, err
		}
		resp, err := client.Do(req)
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			return nil, failed("Pull", r.Name, compute.ErrUnavailable, fmt.Errorf(
				"the docker daemon at %s does not answer: %w", socket, innermost(err),
			),
				"is dockerd running, and may this user use its socket? DOCKER_HOST=unix://... names another one")
		}
		return resp, daemonAnswer(r, resp)
	}
	resp, err := get("json")
	if err != nil {
		return err
	}
	var about struct{ Os, Architecture, Variant string }
	err = json.NewDecoder(io.LimitReader(resp.Body, biggestManifest)).Decode(&about)
	_ = resp.Body.Close()
	if err != nil {
		return fmt.Errorf("the docker daemon's answer cannot be read: %w", err)
	}
	if p := (Platform{about.Os, about.Architecture, about.Variant}); p.OS != "" && !p.suits(opt.Platform.here()) {
		return wrongPlatform(r, opt.Platform.here(), []Platform{p})
	}
	if resp, err = get("get"); err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	f, err := o.tempFile()
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, opt.Progress.watch(resp.Body)); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	x, err := indexTar(ctx, f, false)
	if err != nil {
		return err
	}
	return o.readDockerArchive(x)
}

// daemonAnswer turns a refusal into an error.
func daemonAnswer(r Reference, resp *http.Response) error {
	if resp.StatusCode == http.StatusOK {
		return nil
	}
	defer func() { _ = resp.Body.Close() }()
	var said struct{ Message string }
	_ = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&said)
	if said.Message == "" {
		said.Message = resp.Status
	}
	kind, hint := compute.ErrUnavailable, again
	switch resp.StatusCode {
	case http.StatusNotFound:
		kind, hint = compute.ErrNotFound, "docker images lists what the daemon has"
	case http.StatusForbidden, http.StatusUnauthorized:
		kind, hint = compute.ErrDenied, ""
	}
	return failed("Pull", r.Name, kind, errors.New("the docker daemon says: "+said.Message), hint)
}

// innermost returns the cause without the request, which tells people nothing.
func innermost(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
