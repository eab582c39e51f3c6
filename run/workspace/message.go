package workspace

import (
	"encoding/binary"
	"errors"
	"io"
	"math"
	"time"

	"github.com/hostler-project/hostler/remote/agent"
	"github.com/hostler-project/hostler/run/workspace/scan"
)

// Version is the version of the protocol. The client sends it first. The other side answers Failed
// if it speaks another version.
const Version = 2

// Sum is the SHA-256 of contents or of a list of entries.
type Sum = [32]byte

// The kinds of message.
const (
	KindAnnounce = 1 // from the client
	KindTree     = 2
	KindContent  = 3
	KindGo       = 4
	KindParts    = 5
	KindWaiting  = 16 // from the other side
	KindNeedTree = 17
	KindWant     = 18
	KindReady    = 19
	KindFailed   = 20

	KindWantParts = 21
)

const (
	maxWord    = 8 << 10  // bytes of a path, a label or a message
	maxEntries = 1 << 20  // entries of a tree
	maxWords   = 64 << 10 // bytes of an error
)

// Announce is the client's first message. It names the workspace before its contents are known.
type Announce struct {
	Version int
	Key     string // the workspace's name: letters, digits, '.', '_', '-', not beginning with '.'
	Who     string // the user of the workspace, shown to runs that wait for it
	User    string // the owner of the files; "": the other side's user
	SyncOptions
	Parts  bool // the connection is slow enough to send only parts of large files
	Limits Limits
}

// SyncOptions say how a sync treats what is in the workspace.
type SyncOptions struct {
	Clean  bool // remove files that are not in the tree: what commands have left
	Fresh  bool // make the workspace empty first
	Own    bool // use a workspace for this run alone if another run has this one
	Delete bool // allow any number of deletions
}

// Limits are how much of unused workspaces stays on a computer. A zero field means the other side's
// default.
type Limits struct {
	Copies int           // workspaces
	Bytes  int64         // bytes of disk together
	Idle   time.Duration // time without use; sent in seconds
}

// The forms of a Tree.
const (
	Same = 0 // the list that the other side has under the same ID
	// Entries are those that differ from the list Base, and Removed those that are gone
	Changes = 1
	Whole   = 2 // Entries are the whole list
)

// Tree says what the workspace should contain.
type Tree struct {
	ID      Sum // of the whole list: scan.ID
	Form    byte
	Base    Sum
	Removed []string
	Entries []scan.Entry
	// paths outside the tree that must not be deleted: sparse checkouts
	Hidden []string
}

// Ready says that the workspace is complete.
type Ready struct {
	Dir     string // as commands see it
	Written int    // how many files and links were written
	Removed int
}

func (w *Writer) word(s string) {
	var b [binary.MaxVarintLen64]byte
	// Flush reports an error of Write
	_, _ = w.Write(b[:binary.PutUvarint(b[:], uint64(len(s)))])
	_, _ = io.WriteString(w, s)
}

func (w *Writer) number(n int) {
	var b [binary.MaxVarintLen64]byte
	_, _ = w.Write(b[:binary.PutUvarint(b[:], uint64(n))])
}

// Announce writes the message.
func (w *Writer) Announce(a *Announce) error {
	w.number(KindAnnounce)
	w.number(a.Version)
	w.word(a.Key)
	w.word(a.Who)
	w.word(a.User)
	flags := 0
	for i, b := range [...]bool{a.Clean, a.Fresh, a.Own, a.Delete, a.Parts} {
		if b {
			flags |= 1 << i
		}
	}
	w.number(flags)
	w.number(a.Limits.Copies)
	w.number(int(a.Limits.Bytes))
	w.number(int(a.Limits.Idle / time.Second))
	return w.err
}

// Announce reads the message, whose kind was read already.
func (r *Reader) Announce() (*Announce, error) {
	a := &Announce{}
	var err error
	if a.Version, err = r.number(1 << 20); err != nil {
		return nil, err
	}
	if a.Version != Version {
		return a, nil // the rest belongs to another version
	}
	for _, s := range [...]*string{&a.Key, &a.Who, &a.User} {
		if *s, err = r.text(maxWord); err != nil {
			return nil, err
		}
	}
	flags, err := r.number(31)
	if err != nil {
		return nil, err
	}
	a.Clean, a.Fresh, a.Own, a.Delete = flags&1 != 0, flags&2 != 0, flags&4 != 0, flags&8 != 0
	a.Parts = flags&16 != 0
	if a.Limits.Copies, err = r.number(1 << 30); err != nil {
		return nil, err
	}
	most, err := r.number(1 << 60)
	if err != nil {
		return nil, err
	}
	idle, err := r.number(int(math.MaxInt64 / time.Second))
	a.Limits.Bytes, a.Limits.Idle = int64(most), time.Duration(idle)*time.Second
	return a, err
}

// Tree writes the message.
func (w *Writer) Tree(t *Tree) error {
	w.number(KindTree)
	_, _ = w.Write(t.ID[:])
	w.number(int(t.Form))
	_, _ = w.Write(t.Base[:])
	for _, paths := range [...][]string{t.Removed, t.Hidden} {
		w.number(len(paths))
		for _, p := range paths {
			w.word(p)
		}
	}
	if t.Form != Same {
		return scan.Encode(w, t.Entries)
	}
	return w.err
}

// Tree reads the message.
func (r *Reader) Tree() (*Tree, error) {
	t := &Tree{}
	if err := r.sum(&t.ID); err != nil {
		return nil, err
	}
	form, err := r.number(Whole)
	if err != nil {
		return nil, err
	}
	t.Form = byte(form)
	if err := r.sum(&t.Base); err != nil {
		return nil, err
	}
	for _, paths := range [...]*[]string{&t.Removed, &t.Hidden} {
		n, err := r.number(maxEntries)
		if err != nil {
			return nil, err
		}
		for range n {
			p, err := r.text(maxWord)
			if err != nil {
				return nil, err
			}
			*paths = append(*paths, p)
		}
	}
	if t.Form != Same {
		t.Entries, err = scan.Decode(r, scan.Limits{Entries: maxEntries})
	}
	return t, unexpected(err)
}

func (r *Reader) sum(s *Sum) error {
	_, err := io.ReadFull(r, s[:])
	return unexpected(err)
}

// Content announces contents of so many bytes. The caller writes these next.
func (w *Writer) Content(sum Sum, size int64) error {
	w.number(KindContent)
	_, _ = w.Write(sum[:])
	w.number(int(size))
	return w.err
}

// Content reads the message of Writer.Content. The caller reads the bytes next.
func (r *Reader) Content() (sum Sum, size int64, err error) {
	if err = r.sum(&sum); err != nil {
		return
	}
	n, err := r.number(1 << 50)
	return sum, int64(n), err
}

// Want asks for contents by their sums.
func (w *Writer) Want(sums []Sum) error {
	w.number(KindWant)
	w.number(len(sums))
	for i := range sums {
		_, _ = w.Write(sums[i][:])
	}
	return w.Flush()
}

// Want reads the sums that were asked for.
func (r *Reader) Want() ([]Sum, error) {
	n, err := r.number(maxEntries)
	if err != nil {
		return nil, err
	}
	out := make([]Sum, 0, min(n, 1<<12))
	for range n {
		var s Sum
		if err := r.sum(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// Go gives the turn to the other side, and sends what was written so far.
func (w *Writer) Go() error {
	w.number(KindGo)
	return w.Flush()
}

// NeedTree asks for the whole list.
func (w *Writer) NeedTree() error {
	w.number(KindNeedTree)
	return w.Flush()
}

// Waiting says which user has the workspace now.
func (w *Writer) Waiting(who string) error {
	w.number(KindWaiting)
	w.word(who[:min(len(who), maxWord)])
	return w.Flush()
}

// Waiting reads the user who has the workspace.
func (r *Reader) Waiting() (string, error) { return r.text(maxWord) }

// Ready writes the message.
func (w *Writer) Ready(m *Ready) error {
	w.number(KindReady)
	w.word(m.Dir)
	w.number(m.Written)
	w.number(m.Removed)
	return w.Flush()
}

// Ready reads the message.
func (r *Reader) Ready() (m Ready, err error) {
	if m.Dir, err = r.text(maxWord); err != nil {
		return
	}
	if m.Written, err = r.number(1 << 30); err != nil {
		return
	}
	m.Removed, err = r.number(1 << 30)
	return
}

// Failed sends the error that ends the conversation.
func (w *Writer) Failed(why error) error {
	b := agent.AppendError(nil, why)
	if len(b) > maxWords {
		text := why.Error()
		b = agent.AppendError(nil, errors.New(text[:min(len(text), maxWord)]))
	}
	w.number(KindFailed)
	w.word(string(b))
	return w.Flush()
}

// Failed reads the error, which has the same kind as that of the other side.
func (r *Reader) Failed() (why, err error) {
	b, err := r.bytes(maxWords)
	if err != nil {
		return nil, err
	}
	return agent.DecodeError(b), nil
}

// Kind reads the kind of the next message; io.EOF if the other side has ended.
func (r *Reader) Kind() (int, error) {
	k, err := r.ReadByte()
	return int(k), err
}
