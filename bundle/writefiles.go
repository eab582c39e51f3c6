package bundle

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
)

const (
	block   = 512      // contents are padded to this, so that dd finds them
	large   = 4 << 20  // a larger file goes alone, so that no second copy is made
	oneTime = 16 << 20 // bytes in one command
)

// heldLock is the lock on a computer. A command on the computer holds it until its input ends.
type heldLock struct {
	stdin  *io.PipeWriter
	cancel context.CancelFunc
	done   chan struct{}
}

// lock takes the lock and checks the computer, in one round trip.
func (l *remoteShell) lock(ctx context.Context, p *Plan, wait time.Duration) (*heldLock, *remoteState, error) {
	switch {
	case wait == 0:
		wait = time.Minute
	case wait < 0:
		wait = 0
	}
	token := newToken()
	stdin, feed := io.Pipe()
	answer, out := io.Pipe()
	said := &tail{max: 4096}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	h := &heldLock{feed, cancel, make(chan struct{})}
	var failed error
	go func() { // ends with the command, which ends with its input
		defer close(h.done)
		exit, err := l.conn.Run(own, l.command(token, lockScript+checkScript+holdScript, stdin, out, said, fmt.Sprint(int(wait.Seconds()))))
		failed = refused("take the lock", exit, err, said.String())
		_ = stdin.CloseWithError(io.ErrClosedPipe)
		_ = out.CloseWithError(io.EOF)
	}()
	unhook := context.AfterFunc(ctx, func() { _ = answer.CloseWithError(ctx.Err()); _ = feed.Close() })
	defer unhook()
	go func() { // ends when the command has read, or ended
		_, _ = feed.Write(p.question())
	}()
	s, err := readRemoteState(answer, token)
	if err != nil {
		_ = answer.Close()
		h.release()
		if failed != nil {
			err = failed
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, nil, err
	}
	go io.Copy(io.Discard, answer) // nothing comes any more; ends with the command
	return h, s, nil
}

// release gives up the lock.
func (h *heldLock) release() {
	_ = h.stdin.Close()
	t := time.AfterFunc(10*time.Second, h.cancel) // contact may be lost
	<-h.done
	t.Stop()
	h.cancel()
}

// writeFiles writes the keys and files that are due, and records them.
func (a *applier) writeFiles(ctx context.Context, l *remoteShell, s *remoteState) error {
	var batch []*Outcome
	size := int64(0)
	flush := func(last bool) error {
		if len(batch) == 0 && !last {
			return nil
		}
		err := a.writeBatch(ctx, l, s, batch, last)
		batch, size = nil, 0
		return err
	}
	for i := range a.out {
		o := &a.out[i]
		if o.Action != Pending || o.Step.Kind == KindScript {
			continue
		}
		a.report(o, Running)
		if o.Step.size > large {
			if err := flush(false); err != nil {
				return err
			}
			batch = append(batch, o)
			if err := flush(false); err != nil {
				return err
			}
			continue
		}
		batch = append(batch, o)
		if size += o.Step.size; size > oneTime {
			if err := flush(false); err != nil {
				return err
			}
		}
	}
	files := maps.Clone(s.files)
	for _, st := range a.steps {
		if st.Kind == KindFile && st.Skip == "" {
			files[st.Name] = s.fileSum(st)
		}
	}
	s.newFiles = files
	if len(batch) == 0 && maps.Equal(files, s.files) && (!s.fresh || a.scriptsPending()) {
		return nil // the scripts' session writes the salt
	}
	return flush(true)
}

// writeBatch writes a batch with one command; with last, the record too.
func (a *applier) writeBatch(ctx context.Context, l *remoteShell, s *remoteState, batch []*Outcome, last bool) error {
	var list bytes.Buffer
	if s.fresh {
		fmt.Fprintf(&list, "s %s\n", s.salt)
	}
	var contents []*Step
	at := int64(0)
	for _, o := range batch {
		st := o.Step
		if st.Kind == KindKey {
			fmt.Fprintf(&list, "k %s\n", st.Key)
			continue
		}
		offset, owner := at, st.Owner
		if st.size > large {
			offset = -1
		}
		if owner == "" {
			owner = "-"
		}
		fmt.Fprintf(&list, "f %d %d %o %s %s\n", offset, st.size, st.Mode, owner, st.Name)
		contents = append(contents, st)
		at += (st.size + block - 1) / block
	}
	if last {
		var record strings.Builder
		for _, p := range slices.Sorted(maps.Keys(s.newFiles)) {
			fmt.Fprintf(&record, "file %s %s\n", s.newFiles[p], p)
		}
		fmt.Fprintf(&list, "r %d %d record\n", at, record.Len())
		contents = append(contents, &Step{Kind: KindFile, Name: "the record", Text: record.String(), size: int64(record.Len())})
	}
	list.WriteString(".\n")
	local := make(chan error, 1)
	read, feed := io.Pipe()
	go func() { // ends when all is read, or the command has ended
		err := send(feed, list.Bytes(), contents)
		_ = feed.CloseWithError(err)
		local <- err
	}()
	answer := &writtenFiles{began: s.fresh}
	answer.next = func(n int) {
		if n < len(batch) {
			a.report(batch[n], Done)
		}
	}
	err := l.call(ctx, "write", newToken(), putScript, read, answer)
	_ = read.CloseWithError(io.ErrClosedPipe)
	if e := <-local; e != nil && !errors.Is(e, io.ErrClosedPipe) {
		err = e
	}
	if err == nil {
		s.fresh = false
		return nil
	}
	for _, o := range batch[min(answer.n, len(batch)):] {
		o.Action = Pending
	}
	if answer.n < len(batch) {
		o := batch[answer.n]
		err = fmt.Errorf("%s: %w", o.Step.Title(), err)
		if !lostContact(err) && ctx.Err() == nil {
			o.Err = err
			a.report(o, Failed)
		}
	}
	return err
}

// writtenFiles counts the lines of an answer: one for each thing written.
type writtenFiles struct {
	began bool // the first is for the salt
	n     int
	next  func(n int)
}

// Write calls next for each line that ends in p. It never fails.
func (k *writtenFiles) Write(p []byte) (int, error) {
	for range bytes.Count(p, []byte("\n")) {
		if k.began {
			k.began = false
			continue
		}
		k.next(k.n)
		k.n++
	}
	return len(p), nil
}

// send writes the list and the contents, each padded to whole blocks.
func send(to io.Writer, list []byte, contents []*Step) error {
	w := bufio.NewWriterSize(to, 64<<10)
	if _, err := w.Write(list); err != nil {
		return err
	}
	for _, st := range contents {
		r, err := st.Open()
		if err != nil {
			return &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("%s: %w", st.Title(), err)}
		}
		n, err := io.Copy(w, io.LimitReader(r, st.size))
		if err == nil && n < st.size {
			err = &compute.Error{Kind: compute.ErrFailed, Err: fmt.Errorf("%s: the file here became shorter while it was sent", st.Title())}
		}
		_ = r.Close()
		if err != nil {
			return err
		}
		if st.size > large {
			continue
		}
		if pad := (block - st.size%block) % block; pad > 0 {
			if _, err := w.Write(make([]byte, pad)); err != nil {
				return err
			}
		}
	}
	return w.Flush()
}
