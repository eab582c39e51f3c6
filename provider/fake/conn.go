package fake

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
)

const room = 1 << 20 // the bytes of files that a fake computer keeps

// conn is a connection to a fake computer. It answers each command with the same text.
type conn struct {
	p   *Provider
	id  compute.ID
	end func() // closes done, once

	done chan struct{}
}

func (p *Provider) reply(id compute.ID) *conn {
	done := make(chan struct{})
	return &conn{p: p, id: id, done: done, end: sync.OnceFunc(func() { close(done) })}
}

// use returns an error if the connection is closed or its computer is gone.
func (c *conn) use(ctx context.Context, op string) error {
	select {
	case <-c.done:
		return fault(op, c.id, compute.ErrLost, errors.New("the connection is closed"))
	default:
	}
	if err := ctx.Err(); err != nil {
		return fault(op, c.id, nil, err)
	}
	if _, err := c.p.up(op, c.id); err != nil {
		return fault(op, c.id, compute.ErrLost, err)
	}
	return nil
}

// Simulated reports that commands do nothing here.
func (c *conn) Simulated() bool { return true }

// Run prints the reply and ends with status 0.
func (c *conn) Run(ctx context.Context, cmd *compute.Command) (compute.Exit, error) {
	if err := c.use(ctx, "run"); err != nil {
		return compute.Exit{}, err
	}
	if err := c.p.fails("run", c.id); err != nil {
		return compute.Exit{}, err
	}
	if cmd.Stdout != nil {
		if _, err := io.WriteString(cmd.Stdout, c.p.o.Reply+"\n"); err != nil {
			return compute.Exit{}, fault("run", c.id, compute.ErrFailed, err)
		}
	}
	return compute.Exit{}, nil
}

// Put keeps the files of a tar stream, all of them or none.
func (c *conn) Put(ctx context.Context, dir string, stream io.Reader) error {
	if err := c.use(ctx, "put"); err != nil {
		return err
	}
	files, total := map[string]file{path.Clean("/" + dir): {Type: tar.TypeDir, Mode: 0o755, Time: time.Now()}}, 0
	for r := tar.NewReader(stream); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fault("put", c.id, compute.ErrInvalid, err)
		}
		if slices.Contains(strings.Split(h.Name, "/"), "..") {
			return fault("put", c.id, compute.ErrInvalid, fmt.Errorf("%q leads out of the directory", h.Name))
		}
		data, err := io.ReadAll(io.LimitReader(r, room+1))
		if err != nil {
			return fault("put", c.id, compute.ErrInvalid, err)
		}
		if total += len(data); total > room {
			return fault("put", c.id, compute.ErrNoCapacity, errors.New("a fake computer keeps 1 MiB of files"))
		}
		files[path.Join("/", dir, h.Name)] = file{Type: h.Typeflag, Mode: h.Mode, Time: h.ModTime, Link: h.Linkname, Data: data}
	}
	full := false
	_, err := c.p.place.change(c.p.key(c.id), time.Now(), func(m *computer) bool {
		size := total
		for name, f := range m.Files {
			if _, again := files[name]; !again {
				size += len(f.Data)
			}
		}
		if full = size > room; full {
			return true
		}
		if m.Files == nil {
			m.Files = map[string]file{}
		}
		for name, f := range files {
			m.Files[name] = f
		}
		return true
	})
	if full {
		return fault("put", c.id, compute.ErrNoCapacity, errors.New("a fake computer keeps 1 MiB of files"))
	}
	return trouble("put", c.id, err)
}

// Get writes the files at and below a path as a tar stream.
func (c *conn) Get(ctx context.Context, from string, to io.Writer) error {
	if err := c.use(ctx, "get"); err != nil {
		return err
	}
	m, err := c.p.place.change(c.p.key(c.id), time.Now(), func(*computer) bool { return true })
	if err != nil {
		return trouble("get", c.id, err)
	}
	from = path.Clean("/" + from)
	var names []string
	for name := range m.Files {
		if name == from || strings.HasPrefix(name, strings.TrimSuffix(from, "/")+"/") {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return fault("get", c.id, compute.ErrNotFound, errors.New(from))
	}
	slices.Sort(names)
	w := tar.NewWriter(to)
	for _, name := range names {
		f := m.Files[name]
		h := &tar.Header{
			Name: path.Base(from) + strings.TrimPrefix(name, from), Typeflag: f.Type, Mode: f.Mode, ModTime: f.Time,
			Linkname: f.Link,
		}
		if f.Type == tar.TypeReg {
			h.Size = int64(len(f.Data))
		}
		if err := w.WriteHeader(h); err != nil {
			return fault("get", c.id, compute.ErrFailed, err)
		}
		if f.Type == tar.TypeReg {
			if _, err := w.Write(f.Data); err != nil {
				return fault("get", c.id, compute.ErrFailed, err)
			}
		}
	}
	if err := w.Close(); err != nil {
		return fault("get", c.id, compute.ErrFailed, err)
	}
	return nil
}

// Close ends the connection.
func (c *conn) Close() error {
	c.end()
	return nil
}
