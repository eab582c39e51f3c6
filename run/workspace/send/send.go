package send

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
	"github.com/hostler-project/hostler/run/workspace"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// Options say which workspace to update, and how. Key and Who are required.
type Options struct {
	Key  string // its name: letters, digits, '.', '_', '-'
	Who  string // the user, shown to runs that wait
	User string // the owner of the files there; "": the user of the connection
	workspace.SyncOptions
	// pack what is sent, and of large files that were there before send only what differs
	Compress bool
	Limits   workspace.Limits // for unused workspaces
	// the file that remembers the workspace's list; "" remembers nothing
	State     string
	Pack      *Pack            // shared with other sessions of this root; nil: none
	Waiting   func(who string) // is told which user has the workspace now; may be nil
	Announced func()           // called once, when the command may be sent; may be nil
}

// Result sums up a sync.
type Result struct {
	Dir     string // the workspace, as commands see it
	Written int    // files and links that were written
	Removed int
	Files   int   // files whose contents were sent
	Sent    int64 // bytes sent, packed
	Turns   int   // round trips
}

// ErrChanged says that a file has changed since the scan. The caller should scan again.
var ErrChanged = errors.New("it changed while it was sent")

// Session is a workspace in use. Only one goroutine may call its methods, except Close.
type Session struct {
	opt   Options
	token string
	conn  net.Conn
	r     *workspace.Reader
	w     *workspace.Writer
	pack  func(dst, src []byte) []byte
	sent  map[workspace.Sum]bool
	// the contents that were asked for, with the chunks that the other side has of similar ones
	there  map[workspace.Sum][]workspace.Chunk
	chunks int // the number of all these chunks so far
	res    Result
	close  sync.Once
}

// first bounds the contents that go with the first message, in bytes.
const first = 1 << 20

// encoder packs for all sessions.
var encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
	return zstd.NewWriter(
		nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(workspace.MaxBlock),
	)
})

// Begin announces a workspace, and does not wait for an answer. The session has the workspace to
// itself until the caller closes it.
func Begin(ctx context.Context, conn compute.Conn, opt Options) (*Session, error) {
	far, ok := provider.As[provider.Workspacer](conn)
	if !ok {
		return nil, &compute.Error{Op: "sync", Kind: compute.ErrInvalid, Err: errors.New("this way into the computer keeps no workspaces")}
	}
	token := make([]byte, 16)
	if _, err := rand.Read(token); err != nil {
		return nil, err
	}
	s := &Session{
		opt: opt, token: hex.EncodeToString(token), sent: make(map[workspace.Sum]bool),
		there: make(map[workspace.Sum][]workspace.Chunk),
	}
	var err error
	if s.conn, err = far.Workspace(ctx, s.token); err != nil {
		return nil, err
	}
	if opt.Compress {
		e, err := encoder()
		if err != nil {
			return nil, errors.Join(err, s.conn.Close())
		}
		s.pack = func(dst, src []byte) []byte { return e.EncodeAll(src, dst) }
	}
	s.r, s.w = workspace.NewReader(s.conn), workspace.NewWriter(s.conn, s.pack)
	err = s.w.Announce(&workspace.Announce{
		Version: workspace.Version, Key: opt.Key, Who: opt.Who, User: opt.User,
		SyncOptions: opt.SyncOptions, Limits: opt.Limits, Parts: opt.Compress,
	})
	if err = errors.Join(err, s.w.Flush()); err != nil {
		return nil, errors.Join(err, s.conn.Close())
	}
	return s, nil
}

// Token is for compute.Command.Workspace: it makes a command run in the workspace. The command may
// be sent before the sync has ended.
func (s *Session) Token() string { return s.token }

// Close gives the workspace back.
func (s *Session) Close() error {
	var err error
	s.close.Do(func() { err = s.conn.Close() })
	return err
}

// Sync makes the workspace match t, whose files are below t.Root. Call it once. It ends early with
// ctx.
func (s *Session) Sync(ctx context.Context, t *scan.Tree) (Result, error) {
	defer context.AfterFunc(ctx, func() { _ = s.Close() })()
	err := s.sync(t)
	if s.res.Sent = s.w.Sent; err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return s.res, err
}

func (s *Session) sync(t *scan.Tree) error {
	msg, small, complete := s.firstMessage(t)
	err := s.tree(msg)
	if err == nil {
		err = s.contents(t, small)
	}
	if err == nil {
		err = s.turn()
	}
	if err != nil {
		return s.breakReason(err)
	}
	said := sync.OnceFunc(func() {
		if s.opt.Announced != nil {
			s.opt.Announced()
		}
	})
	if complete {
		said()
	}
	for {
		kind, err := s.r.Kind()
		if err != nil {
			return s.breakReason(err)
		}
		switch kind {
		case workspace.KindWaiting:
			who, err := s.r.Waiting()
			if err != nil {
				return err
			}
			if s.opt.Waiting != nil {
				s.opt.Waiting(who)
			}
		case workspace.KindNeedTree:
			if err = s.tree(&workspace.Tree{ID: t.ID, Form: workspace.Whole, Entries: t.Entries, Hidden: t.Hidden}); err == nil {
				err = s.turn()
			}
		case workspace.KindWantParts: // KindWant follows
			err = s.readParts()
		case workspace.KindWant:
			var sums []workspace.Sum
			if sums, err = s.r.Want(); err == nil {
				if err = s.wanted(t, append(slices.Collect(maps.Keys(s.there)), sums...)); err == nil {
					err = s.turn()
				}
			}
		case workspace.KindReady:
			m, err := s.r.Ready()
			if err != nil {
				return err
			}
			said()
			s.res.Dir, s.res.Written, s.res.Removed = m.Dir, m.Written, m.Removed
			s.remember(msg, t)
			return nil
		case workspace.KindFailed:
			why, err := s.r.Failed()
			return errors.Join(why, err)
		default:
			return lost(fmt.Errorf("the other side says something of kind %d", kind))
		}
		if err != nil {
			return s.breakReason(err)
		}
	}
}

func (s *Session) turn() error {
	s.res.Turns++
	return s.w.Go()
}

func lost(err error) error {
	return &compute.Error{Op: "sync", Kind: compute.ErrLost, Err: err}
}

// breakReason returns the reason why the stream broke: the other side's error, if it sent one.
func (s *Session) breakReason(err error) error {
	var told *compute.Error
	if errors.Is(err, ErrChanged) || errors.As(err, &told) {
		return err
	}
	if s.r == nil { // packing for several, before any answer
		return err
	}
	if !errors.Is(err, io.EOF) {
		for {
			kind, rerr := s.r.Kind()
			if rerr != nil {
				if errors.As(rerr, &told) {
					return rerr
				}
				break
			}
			if kind != workspace.KindFailed {
				break
			}
			if why, rerr := s.r.Failed(); rerr == nil {
				return why
			}
		}
	}
	return lost(fmt.Errorf("the other side ended while the workspace was being synchronised: %w", err))
}

// firstMessage returns the first message and the files whose contents go with it. complete says
// that the other side will most likely need no more.
func (s *Session) firstMessage(t *scan.Tree) (msg *workspace.Tree, small []*scan.Entry, complete bool) {
	msg = &workspace.Tree{ID: t.ID, Form: workspace.Whole, Entries: t.Entries, Hidden: t.Hidden}
	var base []scan.Entry
	if !s.opt.Fresh {
		id, load := readState(s.opt.State)
		if id == t.ID {
			return &workspace.Tree{ID: t.ID, Form: workspace.Same}, nil, true
		}
		if b, ok := load(); ok {
			msg.Form, msg.Base, base = workspace.Changes, id, b
			msg.Entries, msg.Removed = difference(base, t.Entries)
		}
	}
	known := make(map[workspace.Sum]bool, len(base))
	for i := range base {
		known[base[i].Sum] = true
	}
	var total int64
	for i := range msg.Entries {
		e := &msg.Entries[i]
		if e.Kind != scan.File || e.Size == 0 || known[e.Sum] {
			continue
		}
		if total += e.Size; total > first {
			return msg, nil, false // more than fits, so it will be asked for
		}
		small = append(small, e)
	}
	return msg, small, true
}
