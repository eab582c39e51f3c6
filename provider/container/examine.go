package container

import (
	"archive/tar"
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/agent"
)

// examineTime is how long one engine may take to show that it works.
const examineTime = 30 * time.Second

// Examine reports which engines answer on this machine, by $DOCKER_HOST and in the usual places,
// their versions and their faults. If find is not nil it makes a container of an empty image,
// enters it and removes it. It leaves nothing there.
func Examine(ctx context.Context, find agent.Finder) []compute.Finding {
	var out []compute.Finding
	places := sockets()
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		path, err := local(host, "$DOCKER_HOST")
		if err != nil {
			out = append(
				out,
				compute.Finding{
					Result: "warn", What: "container: $DOCKER_HOST", Detail: oneLine([]byte(err.Error())),
					Hint: compute.Hint(err),
				},
			)
		} else {
			places = slices.Insert(places, 0, path)
		}
	}
	var seen []os.FileInfo
	for i, path := range places {
		fi, err := os.Stat(path) // through links: /var/run is /run
		if err != nil && !(i == 0 && len(places) > len(sockets())) ||
			slices.ContainsFunc(seen, func(other os.FileInfo) bool { return os.SameFile(fi, other) }) {
			continue
		}
		if fi != nil {
			seen = append(seen, fi)
		}
		out = append(out, examine(ctx, path, find))
	}
	if len(out) > 0 {
		return out
	}
	f := compute.Finding{
		Result: "skip", What: "container", Detail: "no engine listens on " + strings.Join(places, ", "),
		Hint: "sources of type container need docker or podman; those of type sandbox need neither",
	}
	var start []string
	for _, e := range [...][2]string{{"dockerd", "systemctl start docker"}, {"podman", "systemctl --user start podman.socket"}} {
		if _, err := exec.LookPath(e[0]); err == nil {
			f.Detail += "; " + e[0] + " is installed and does not run as a service"
			start = append(start, e[1])
		}
	}
	if len(start) > 0 {
		f.Hint = "to start one: " + strings.Join(start, ", or ")
	}
	return []compute.Finding{f}
}

// examine tries the engine behind one socket.
func examine(ctx context.Context, socket string, find agent.Finder) compute.Finding {
	ctx, cancel := context.WithTimeout(ctx, examineTime)
	defer cancel()
	f := compute.Finding{Result: "warn", What: "container: " + socket}
	bad := func(err error) compute.Finding {
		hint, kind := kindOf(err)
		f.Detail = strings.TrimSpace(f.Detail + " " + oneLine([]byte(err.Error())))
		f.Hint = cmp.Or(compute.Hint(err), hint)
		if errors.Is(kind, compute.ErrDenied) && f.Hint == "" {
			f.Hint = "see docs/containers.md about who may use an engine"
		}
		return f
	}
	p, err := open(ctx, slog.New(slog.DiscardHandler), options{
		Socket: socket, Network: "none", Pull: "never", Source: "doctor", Installation: "doctor-" + rand.Text(), Agent: find,
	})
	if err != nil {
		return bad(err)
	}
	a, err := p.eng.ask(ctx)
	if err != nil {
		return bad(err)
	}
	var info struct {
		Driver, CgroupVersion, CgroupDriver string
		NCPU                                int
		MemoryLimit, PidsLimit              bool
		SecurityOptions                     []string
		Rootless                            bool
	}
	if err := p.eng.do(ctx, http.MethodGet, "/info", nil, nil, &info); err != nil {
		return bad(err)
	}
	f.Detail = fmt.Sprintf(
		"%s %s, API %s, storage %s, cgroup v%s by %s, %d cores;", a.name, a.release, a.api, info.Driver,
		cmp.Or(info.CgroupVersion, "1"), info.CgroupDriver, info.NCPU,
	)
	if info.Rootless || slices.Contains(info.SecurityOptions, "name=rootless") {
		f.Detail += " rootless;"
	}
	if err := p.eng.unwalled(ctx); err != nil {
		f.Detail += " no wall: " + oneLine([]byte(err.Error())) + ";"
	}
	if find == nil {
		f.Result, f.Detail = "ok", strings.TrimSuffix(f.Detail, ";")
		return f
	}
	begin := time.Now()
	if err := p.prove(ctx); err != nil {
		f.Result = "fail"
		return bad(err)
	}
	f.Result = "ok"
	f.Detail += fmt.Sprintf(" a container was made, entered and removed in %v", time.Since(begin).Round(time.Millisecond))
	if !info.MemoryLimit || !info.PidsLimit {
		f.Result = "warn"
		f.Detail += ", but it cannot limit memory or processes"
		f.Hint = "the kernel's controllers of control groups are missing, or not delegated to this user"
	}
	return f
}

// prove makes a container of an image with nothing in it, enters and removes it, and the image.
func (p *Provider) prove(ctx context.Context) (err error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	_ = w.WriteHeader(&tar.Header{Name: "tmp/", Typeflag: tar.TypeDir, Mode: 0o777})
	_ = w.Close()
	p.o.Image = "hostler-doctor-" + strings.ToLower(rand.Text()[:12])
	resp, err := p.eng.call(
		ctx, http.MethodPost, "/images/create", url.Values{"fromSrc": {"-"}, "repo": {p.o.Image}, "tag": {"latest"}}, &b,
		"application/x-tar",
	)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	const id = "doctor-1"
	defer func() { // also after the time is over
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), examineTime)
		defer cancel()
		for e := error(nil); !errors.Is(e, compute.ErrNotFound) && ctx.Err() == nil; {
			if e = p.Destroy(ctx, id); e != nil && !errors.Is(e, compute.ErrNotFound) {
				err = cmp.Or(err, e)
				break
			}
		}
		if e := p.eng.do(ctx, http.MethodDelete, "/images/"+p.o.Image, url.Values{"force": {"1"}}, nil, nil); e != nil {
			err = cmp.Or(err, e)
		}
	}()
	if _, err := p.Create(ctx, compute.Spec{ID: id}); err != nil {
		return err
	}
	conn, err := p.Connect(ctx, id)
	if err != nil {
		return err
	}
	return conn.Close()
}
