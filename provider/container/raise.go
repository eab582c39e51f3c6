package container

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// inside is the path of our program in a container.
const inside = "/.hostler-agent"

// shape is how a container was made, as far as options do not say it. It is in a label, so that
// Clean makes the same again.
type shape struct {
	Image  string   `json:"image"`
	Arch   string   `json:"arch"`            // of the image, as Go names it
	Cores  float64  `json:"cores,omitempty"` // the limits
	Memory int64    `json:"memory,omitempty"`
	Disk   int64    `json:"disk,omitempty"`
	Agent  []string `json:"agent"` // our program inside, and the words before its own
	way
	again bool // in place of a used one: the engine's copy of the image will do
}

// way is how a container starts on this engine, where engines differ.
type way struct {
	Copy bool `json:"copy,omitempty"` // the program cannot be mounted: copy it
	Rung int  `json:"rung,omitempty"` // the step of the ladder of ulimits
}

func shapeOf(labels map[string]string) shape {
	var s shape
	_ = json.Unmarshal([]byte(labels[labelShape]), &s) // our own text, else the zero shape
	return s
}

// shape returns the shape for a request: the larger of its limits and the source's. No limit stays
// none.
func (m *maker) shape(spec compute.Spec) shape {
	s := shape{Image: cmp.Or(spec.Image, m.p.o.Image), Cores: m.p.o.Cores, Memory: m.p.o.Memory, Disk: m.p.o.Disk}
	if s.Cores > 0 {
		s.Cores = max(s.Cores, float64(spec.Cores))
	}
	if s.Memory > 0 {
		s.Memory = max(s.Memory, spec.Memory)
	}
	if s.Disk > 0 {
		s.Disk = max(s.Disk, spec.Disk)
	}
	return s
}

// raise makes a container and starts it, and skips the steps that are done already. Where the
// engine cannot mount our program, or cannot set its own high limits, it tries the next way, and
// keeps that for the next container.
func (m *maker) raise(ctx context.Context, id compute.ID, s shape) (*inspection, error) {
	m.p.mu.Lock()
	s.way = way{Copy: s.Copy || m.p.way.Copy || m.p.o.CopyAgent, Rung: max(s.Rung, m.p.way.Rung)}
	m.p.mu.Unlock()
	for {
		c, err := m.prepare(ctx, id, m.p.name(id), &s)
		if err == nil {
			err = m.start(ctx, c)
		}
		if err == nil {
			m.p.mu.Lock()
			m.p.way = way{Copy: m.p.way.Copy || s.Copy, Rung: max(m.p.way.Rung, s.Rung)}
			m.p.mu.Unlock()
			return m.settle(ctx, id)
		}
		next, ok := s.other(err)
		if !ok {
			return nil, err
		}
		m.p.log.Info("a container did not start, trying another way", "instance", id, "err", err, "copy-agent", next.Copy, "rung", next.Rung)
		if c != nil {
			if err := m.p.remove(ctx, c.ID); err != nil {
				return nil, err
			}
		}
		s.way = next
	}
}

// other returns the way to try after an error, if there is one.
func (s shape) other(err error) (way, bool) {
	w := s.way
	var at *pathError
	switch text := strings.ToLower(err.Error()); {
	case strings.Contains(text, "rlimit") && w.Rung+1 < len(ladder):
		w.Rung++
	case !w.Copy && errors.As(err, &at):
		w.Copy = true
	default:
		return w, false
	}
	return w, true
}

// pathError is an engine's error about our program's file: it does not see it, or may not read it.
type pathError struct{ error }

func (e *pathError) Unwrap() error { return e.error }

// aboutPath turns an error that names the program's file into a pathError.
func aboutPath(err error, path string) error {
	if err != nil && path != "" && strings.Contains(err.Error(), path) {
		return &pathError{err}
	}
	return err
}

// prepare makes a container without starting it, or returns the existing one.
func (m *maker) prepare(ctx context.Context, id compute.ID, name string, s *shape) (*inspection, error) {
	c, err := m.p.look(ctx, id, name)
	if errors.Is(err, errNone) {
		if err = m.make(ctx, id, name, s); err == nil {
			c, err = m.appear(ctx, id, name)
		}
	} else if err == nil {
		*s = shapeOf(c.Config.Labels)
	}
	if err != nil {
		return nil, err
	}
	// its maker may have been killed before or in the middle of this
	if s.Copy && c.State.Status == "created" {
		if err := m.copyAgent(ctx, c.ID, *s, inside); err != nil {
			return c, err
		}
	}
	return c, nil
}

// appear looks up a container that was just made, by us or by another. It waits up to 10 s: Docker
// refuses a name a moment before it shows the container that has it.
func (m *maker) appear(ctx context.Context, id compute.ID, name string) (*inspection, error) {
	for end := time.Now().Add(10 * time.Second); ; {
		c, err := m.p.look(ctx, id, name)
		if !errors.Is(err, errNone) {
			return c, err
		}
		if time.Now().After(end) {
			return nil, &compute.Error{
				Kind: compute.ErrConflict,
				Err:  fmt.Errorf("the engine has no container %s, and does not let us make one", name),
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// make creates a container. It accepts one of this name that appears meanwhile; the next look
// checks whose it is.
func (m *maker) make(ctx context.Context, id compute.ID, name string, s *shape) error {
	if s.Image == "" {
		return &compute.Error{Kind: compute.ErrInvalid, Err: errors.New("no image"), Hint: "set image in the source, as image = debian:13"}
	}
	img, err := m.p.images.image(ctx, s.Image, m.p.o.Pull == "always" && !s.again)
	if err != nil {
		return err
	}
	s.Arch = cmp.Or(img.Architecture, runtime.GOARCH)
	if m.p.o.Agent == nil {
		return errors.New("no guest program for containers")
	}
	prog, err := m.p.o.Agent(s.Arch)
	if err != nil {
		return err
	}
	s.Agent = append([]string{inside}, prog.Args...)
	if err := m.p.places(ctx); err != nil {
		return err
	}
	req, err := m.request(ctx, id, *s, img, prog.Path)
	if err == nil {
		req.HostConfig.NetworkMode, err = m.p.walls.network(ctx)
	}
	if err != nil {
		return err
	}
	if err := m.p.at("create " + name); err != nil {
		return err
	}
	err = m.p.eng.do(ctx, http.MethodPost, "/containers/create", url.Values{"name": {name}}, req, nil)
	switch {
	case status(err) == http.StatusConflict,
		err != nil && strings.Contains(err.Error(), "name") && strings.Contains(err.Error(), "already in use"):
		// podman: 500
		return nil
	case status(err) == http.StatusNotFound && !strings.Contains(strings.ToLower(err.Error()), "image"):
		return &compute.Error{Kind: compute.ErrInvalid, Err: err}
	}
	if !s.Copy {
		err = aboutPath(err, prog.Path)
	}
	return err
}

// places checks that the directories to mount exist: podman would make missing ones, as root.
func (p *Provider) places(ctx context.Context) error {
	a, err := p.eng.ask(ctx)
	if err != nil || a.name != "podman" {
		return err
	}
	for _, m := range p.plan.mounts {
		if _, err := os.Stat(m.Source); m.Type == "bind" && errors.Is(err, fs.ErrNotExist) {
			return &compute.Error{Kind: compute.ErrInvalid, Err: err, Hint: "a directory of mounts is not there"}
		}
	}
	return nil
}

// request composes the engine's request for a container.
func (m *maker) request(ctx context.Context, id compute.ID, s shape, img imageInfo, program string) (*createRequest, error) {
	note, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	r := &createRequest{
		Image: s.Image, Hostname: hostname(id), User: m.p.o.User, Env: m.p.o.Env, Labels: map[string]string{
			labelInstallation: m.p.o.Installation, labelSource: m.p.o.Source, labelID: string(id), labelShape: string(note),
		},
		// The first process just waits: it is a second one of our program, whose input stays empty,
		// or the image's own.
		OpenStdin: true, Entrypoint: append(append([]string{}, s.Agent...), "init", "--"),
		Cmd: append(append([]string{}, s.Agent...), "serve", "stdio"),
		HostConfig: hostConfig{
			NanoCpus: int64(s.Cores * 1e9), Memory: s.Memory, MemorySwap: s.Memory,
			Mounts: append([]mount{}, m.p.plan.mounts...), PortBindings: map[string][]binding{}, Ulimits: m.ulimits(ctx, s.Rung),
		},
		ExposedPorts: map[string]struct{}{},
	}
	m.p.plan.rights.limit(&m.p.o, &r.HostConfig)
	// podman writes it into the images that it makes of containers
	if slices.ContainsFunc(img.Config.Env, func(kv string) bool { return strings.HasPrefix(kv, "HOSTNAME=") }) {
		r.Env = append([]string{"HOSTNAME=" + r.Hostname}, r.Env...)
	}
	if !m.p.o.Entrypoint {
		// the image's would check what is not started
		r.Healthcheck = &healthcheck{[]string{"NONE"}}
	} else {
		if r.Cmd = append(append([]string{}, img.Config.Entrypoint...), img.Config.Cmd...); len(r.Cmd) == 0 {
			return nil, &compute.Error{
				Kind: compute.ErrInvalid, Err: fmt.Errorf("image %s has no entry point and no command", s.Image),
				Hint: "leave entrypoint out",
			}
		}
	}
	if s.Disk > 0 {
		r.HostConfig.StorageOpt = map[string]string{"size": fmt.Sprint(s.Disk)}
	}
	if !s.Copy {
		r.HostConfig.Mounts = append(r.HostConfig.Mounts, mount{Type: "bind", Source: program, Target: inside, ReadOnly: true})
	}
	for _, port := range m.p.plan.ports {
		r.ExposedPorts[port.inside] = struct{}{}
		r.HostConfig.PortBindings[port.inside] = append(r.HostConfig.PortBindings[port.inside], binding{port.address, port.hostPort})
	}
	return r, nil
}

// hostname turns an id into a host's name, as far as it can be one.
func hostname(id compute.ID) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		if r == '.' || r == '_' {
			return '-'
		}
		return r
	}, string(id[:min(len(id), 63)])), "-")
}

// start starts a container, and accepts one that runs.
func (m *maker) start(ctx context.Context, c *inspection) error {
	if c.State.Running {
		return nil
	}
	if err := m.p.at("start " + c.ID); err != nil {
		return err
	}
	err := m.p.walls.behindWall(ctx, c, func() error { return m.setGoing(ctx, c.ID) })
	s := shapeOf(c.Config.Labels)
	if prog, e := m.p.o.Agent(cmp.Or(s.Arch, runtime.GOARCH)); e == nil && !s.Copy {
		err = aboutPath(err, prog.Path)
	}
	return err
}

// setGoing starts a container, with retries. Podman under load sometimes refuses a container that
// it has just made, as being between two states.
func (m *maker) setGoing(ctx context.Context, id string) error {
	for tries := 1; ; tries++ {
		err := m.p.eng.do(ctx, http.MethodPost, "/containers/"+id+"/start", nil, nil, nil)
		if err == nil || tries == 20 || !strings.Contains(err.Error(), "container state improper") {
			return err
		}
		var c inspection
		if e := m.p.eng.do(ctx, http.MethodGet, "/containers/"+id+"/json", nil, nil, &c); e != nil || c.State.Running {
			return e
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// settle returns a container that was started. One for another kind of processor may have ended at
// once: engines notice that only afterwards.
func (m *maker) settle(ctx context.Context, id compute.ID) (*inspection, error) {
	c, err := m.p.mine(ctx, id)
	if err != nil || shapeOf(c.Config.Labels).Arch == runtime.GOARCH {
		return c, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	conn, err := m.p.connect(ctx, id, c)
	if err != nil {
		return nil, err
	}
	return c, conn.Close()
}
