package run

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/workspace/send"
	"github.com/hostler-project/hostler/run/worktree"
)

// maxScans is how often a tree is scanned if it changes while it is sent.
const maxScans = 3

// treeCopy is the copy of the run's tree on the instance.
type treeCopy struct {
	sent    chan struct{} // closed when the whole tree is there
	session *send.Session // holds the copy for the run; nil: not yet
}

// release releases the copy for other runs.
func (c *treeCopy) release() {
	if c.session != nil {
		_ = c.session.Close()
		c.session = nil
	}
}

// treeSent returns a channel that is closed when the tree is there. Without a tree it is closed
// already.
func (r *Runner) treeSent() <-chan struct{} {
	if r.Tree != nil {
		return r.copy.sent
	}
	none := make(chan struct{})
	close(none)
	return none
}

// sendOptions returns the options for the tree's copy on the instance.
func (r *Runner) sendOptions() send.Options {
	s, t := r.Session, r.Tree
	host, _ := os.Hostname()
	key := worktree.Key(t.Root, r.User)
	return send.Options{
		Key:  key,
		Who:  fmt.Sprintf("%s@%s, process %d, since %s", s.Who.Owner, host, os.Getpid(), time.Now().Format(time.DateTime)),
		User: r.User, SyncOptions: r.Sync, Limits: t.Limits,
		Pack: t.Pack, Compress: r.way.Far, State: worktree.State(t.Cache, s.Instance.ID, s.Lease.ID, key),
		Waiting: func(who string) {
			r.Printer.Say("the copy of this tree on %s is in use by %s; waiting", s.Instance.ID, who)
		},
	}
}

// runInCopy brings the copy up to date and runs the command in it.
func (r *Runner) runInCopy(ctx context.Context, conn compute.Conn, cmd *compute.Command) (compute.Exit, error) {
	for try := 1; ; try++ {
		exit, err := r.tryInCopy(ctx, conn, cmd)
		if !errors.Is(err, send.ErrChanged) || try == maxScans || ctx.Err() != nil {
			return exit, err
		}
	}
}

// tryInCopy sends the tree and the command at the same time. The command waits on the other side
// until the copy is complete.
func (r *Runner) tryInCopy(ctx context.Context, conn compute.Conn, cmd *compute.Command) (compute.Exit, error) {
	opt := r.sendOptions()
	said := make(chan struct{})
	// If files are brought back, the existing ones are listed before the command starts, and that
	// takes a complete copy. A run with a key is recorded before its command can start.
	waits := r.collector.Any() || r.Record.Key != ""
	if !waits {
		opt.Announced = func() { close(said) }
	}
	r.copy.release() // from an earlier try
	copied, err := send.Begin(ctx, conn, opt)
	if err != nil {
		return compute.Exit{}, noWorkspaces(r.Session.Instance.ID, err)
	}
	r.copy.session = copied
	found, err := r.Tree.Await(ctx, r.scanned)
	if err != nil {
		return compute.Exit{}, err
	}
	r.scanned = found // stale at the next try
	if found.Tree.Warning != "" {
		r.Printer.Say("%s", found.Tree.Warning)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	differs := make(chan *bool, 1)
	go func() { differs <- found.Dirty(ctx) }()
	defer func() {
		is := <-differs
		r.rec.Update(func(rec *runlog.Record) { rec.Dirty = is })
	}()
	ended := startWhenAnnounced(ctx, conn, *cmd, copied, said)
	if err := r.sendTree(ctx, conn, cmd, found); err != nil {
		cancel()
		<-ended
		return compute.Exit{}, err
	}
	if waits {
		close(said)
	}
	close(r.copy.sent)
	o := <-ended
	return o.exit, o.err
}

// commandEnd is how a command ended.
type commandEnd struct {
	exit compute.Exit
	err  error
}

// startWhenAnnounced runs the command in the copy, once the other side knows of the tree.
func startWhenAnnounced(
	ctx context.Context, conn compute.Conn, cmd compute.Command, copied *send.Session, announced <-chan struct{},
) <-chan commandEnd {
	ended := make(chan commandEnd, 1)
	go func() {
		select {
		case <-announced:
		case <-ctx.Done():
			ended <- commandEnd{err: ctx.Err()}
			return
		}
		cmd.Workspace = copied.Token()
		exit, err := conn.Run(ctx, &cmd)
		ended <- commandEnd{exit, err}
	}()
	return ended
}

// sendTree sends what the copy lacks, and records that the command begins.
func (r *Runner) sendTree(ctx context.Context, conn compute.Conn, cmd *compute.Command, found *worktree.Scan) error {
	r.phases.Scan += found.Took.Seconds()
	sending := phase(&r.phases.Send)
	res, err := r.copy.session.Sync(ctx, found.Tree)
	sending()
	r.rec.Update(func(rec *runlog.Record) {
		rec.Tree = hex.EncodeToString(found.Tree.ID[:])
		rec.Bytes.Sent += res.Sent
	})
	if err != nil {
		return err
	}
	if !path.IsAbs(cmd.Dir) {
		cmd.Dir = path.Join(res.Dir, cmd.Dir) // where its results are looked for
	}
	if err := r.listBefore(ctx, conn, cmd); err != nil {
		return err
	}
	return r.commandBegins(cmd)
}

// noWorkspaces is the error for an instance without our agent, where no tree can be sent.
func noWorkspaces(id compute.ID, err error) error {
	if errors.Is(err, compute.ErrInvalid) {
		return &compute.Error{ID: id, Kind: compute.ErrInvalid, Err: fmt.Errorf("no working tree can be taken there: %w", err),
			Hint: "hostler doctor " + string(id) + " says what it finds there; hostler cp takes files along without an agent"}
	}
	return err
}
