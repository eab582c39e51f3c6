package runcmd

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/run/runlog"
	"github.com/hostler-project/hostler/run/workspace/send"
)

// syncOptions are what run can be told about the copy of the working tree that goes along.
type syncOptions struct {
	no     bool
	clean  bool
	fresh  bool
	own    bool
	delete bool
	bind   string // "": a copy; "yes" or "rw"; "ro"
	// names at the tree's top that may be written though programs here run what they find there
	write []string
}

func (o *syncOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.BoolVar(&o.no, "no-sync", false, "send no working tree, whatever the configuration says")
	f.BoolVar(&o.clean, "clean", false, "with --sync: remove what commands have left in the copy")
	f.BoolVar(&o.fresh, "fresh", false, "with --sync: begin with an empty copy")
	f.BoolVar(&o.own, "own-workspace", false, "with --sync: where another run has the copy, make one for this run alone")
	f.BoolVar(&o.delete, "allow-mass-delete", false, "with --sync: delete there however many files are gone here")
}

// bindFlag is of run alone: other verbs run on what they have.
func (o *syncOptions) bindFlag(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(
		&o.bind, "bind", "",
		"with --sync: mount the tree itself, and no copy, into a sandbox or container that is made for the run; `HOW`=ro: to be read only",
	)
	f.Lookup("bind").NoOptDefVal = "yes"
	f.StringSliceVar(
		&o.write, "writable", nil,
		"with --bind: let the sandbox write `NAME`, such as .git, which programs of this machine run what they find in",
	)
	_ = cmd.RegisterFlagCompletionFunc("bind", cobra.FixedCompletions([]string{"ro", "rw"}, cobra.ShellCompDirectiveNoFileComp))
}

// syncs reports whether a tree goes along with a run. configured: it does where nothing else is
// said.
func (o *RunOptions) syncs(configured bool) (bool, error) {
	s := &o.sync
	switch {
	case s.no:
		return false, nil
	case o.tree.sync == "" && !configured:
		if s.clean || s.fresh || s.own || s.delete || s.bind != "" || len(s.write) > 0 || o.tree.root != "" ||
			o.tree.large || o.tree.git != "" {
			return false, fault.Invalid(
				"say --sync too",
				"--root, --large, --git, --clean, --fresh, --own-workspace, --bind, --writable and --allow-mass-delete are about the tree that --sync sends",
			)
		}
		return false, nil
	}
	return true, nil
}

// sending is a run's tree on its way.
type sending struct {
	*outlook
	stale *look         // what was seen and is true no more; nil: nothing
	sent  chan struct{} // closed when all of it is there

	session *send.Session // the copy is ours; nil: not yet
}

// treeSent is closed when the tree is there; where none goes along it is closed already.
func (r *runner) treeSent() <-chan struct{} {
	if r.sending != nil {
		return r.sending.sent
	}
	none := make(chan struct{})
	close(none)
	return none
}

// giveBack lets others have the copy.
func (s *sending) giveBack() {
	if s.session != nil {
		_ = s.session.Close()
		s.session = nil
	}
}

// beginScan looks at the tree while the instance is being obtained.
func (r *runner) beginScan(ctx context.Context) error {
	ok, err := r.Opt.syncs(r.settings.run.Sync && r.Opt.verb == "" && len(r.Words) > 0)
	if err != nil || !ok {
		return err
	}
	if r.bind, err = r.Opt.bindMode(); err != nil || r.bind != "" {
		return err
	}
	seen := r.seen
	if seen == nil {
		if seen, err = newOutlook(r.App, &r.Opt.tree); err != nil {
			return err
		}
		seen.begin(ctx, nil)
	}
	r.sending = &sending{outlook: seen, sent: make(chan struct{})}
	return nil
}

// endScan waits until nobody looks at the tree any more; one that several runs share is theirs
// together.
func (r *runner) endScan() {
	if r.sending != nil && r.seen == nil {
		r.sending.end()
	}
}

// treeKey names a tree's copy on an instance: so that people know it, and no two trees of this
// machine are one, nor those of two users there.
func treeKey(root, user string) string {
	host, _ := os.Hostname()
	id := host + "\x00" + root
	if user != "" {
		id += "\x00" + user
	}
	sum := sha256.Sum256([]byte(id))
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-' {
			return c
		}
		return '-'
	}, filepath.Base(root))
	name = strings.TrimLeft(name[:min(len(name), 40)], "-")
	return strings.TrimPrefix(name+"-"+hex.EncodeToString(sum[:4]), "-")
}

// send says what to do with the tree's copy on the runner's instance.
func (r *runner) send() (send.Options, error) {
	o := &r.Opt.sync
	host, _ := os.Hostname()
	opt := send.Options{
		Key:   treeKey(r.sending.root, r.Opt.user),
		Who:   fmt.Sprintf("%s@%s, process %d, since %s", r.App.Owner(), host, os.Getpid(), time.Now().Format(time.DateTime)),
		Clean: o.clean, Fresh: o.fresh, Own: o.own, Delete: o.delete, User: r.Opt.user, Limits: r.sending.limits,
		Pack:     r.sending.pack,
		Compress: r.typ == "ssh" || r.App.Remote != nil && !r.App.Self.Here,
		Waiting: func(who string) {
			r.App.Say("the copy of this tree on %s is in use by %s; waiting", r.Instance.ID, who)
		},
	}
	var err error
	opt.State, err = syncState(r.Instance.ID, r.Lease.ID, opt.Key)
	return opt, err
}

// syncState is the file in which is remembered what a tree's copy on an instance has.
func syncState(instance compute.ID, lease, key string) (string, error) {
	cache, err := host.CacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(string(instance) + "\x00" + lease + "\x00" + key))
	return filepath.Join(cache, "sync", hex.EncodeToString(sum[:12])), nil
}

// say tells people something while they wait.
// mostScans is how often a tree is looked at that changes while it is sent.
const mostScans = 3

// runSynced brings the copy up to date and runs the command in it.
func (r *runner) runSynced(ctx context.Context, conn compute.Conn, cmd *compute.Command) (compute.Exit, error) {
	r.hold(conn, cmd)
	for try := 1; ; try++ {
		exit, err := r.runOnce(ctx, conn, cmd)
		if !errors.Is(err, send.ErrChanged) || try == mostScans || ctx.Err() != nil {
			return exit, err
		}
	}
}

func (r *runner) runOnce(ctx context.Context, conn compute.Conn, cmd *compute.Command) (compute.Exit, error) {
	opt, err := r.send()
	if err != nil {
		return compute.Exit{}, err
	}
	said := make(chan struct{})
	// then what is there is listed before the command starts, and that takes a copy that is
	// complete
	looks := r.back.want.any()
	// and a run that is to be run once is recorded before it can have begun
	waits := looks || r.Opt.key != ""
	if !waits {
		opt.Said = func() { close(said) }
	}
	r.sending.giveBack() // the one of an earlier try
	session, err := send.Begin(ctx, conn, opt)
	if err != nil {
		return compute.Exit{}, noWorkspaces(r.Instance.ID, err)
	}
	r.sending.session = session
	found, err := r.sending.see(ctx, r.sending.stale)
	if err != nil {
		return compute.Exit{}, err
	}
	r.sending.stale = found // for the next try
	if found.tree.Warning != "" {
		r.App.Say("%s", found.tree.Warning)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type outcome struct {
		exit compute.Exit
		err  error
	}
	ended := make(chan outcome, 1)
	command := *cmd
	go func() {
		select {
		case <-said:
		case <-ctx.Done():
			ended <- outcome{err: ctx.Err()}
			return
		}
		own := command
		own.Workspace = session.Token()
		exit, err := conn.Run(ctx, &own)
		ended <- outcome{exit, err}
	}()
	r.phases.Scan += found.took.Seconds()
	differs := make(chan *bool, 1)
	go func() { differs <- found.dirty(ctx) }()
	defer func() {
		if is := <-differs; r.rec != nil {
			r.rec.Update(func(rec *runlog.Record) { rec.Dirty = is })
		}
	}()
	sending := phase(&r.phases.Send)
	res, err := session.Sync(ctx, found.tree)
	sending()
	if r.rec != nil {
		r.rec.Update(func(rec *runlog.Record) {
			rec.Tree = hex.EncodeToString(found.tree.ID[:])
			rec.Bytes.Sent += res.Sent
		})
	}
	if err != nil {
		cancel()
		<-ended
		return compute.Exit{}, err
	}
	if !path.IsAbs(cmd.Dir) {
		cmd.Dir = path.Join(res.Dir, cmd.Dir) // where what it makes is looked for
	}
	if looks {
		if r.back.before, err = r.look(ctx, conn, cmd); err != nil {
			cancel()
			<-ended
			return compute.Exit{}, err
		}
	}
	if err := r.begins(cmd); err != nil {
		cancel()
		<-ended
		return compute.Exit{}, err
	}
	if waits {
		close(said)
	}
	close(r.sending.sent)
	o := <-ended
	return o.exit, o.err
}

// noWorkspaces says of an instance where our guest side is not, and cannot be put, that trees
// cannot be taken there.
func noWorkspaces(id compute.ID, err error) error {
	if errors.Is(err, compute.ErrInvalid) {
		return &compute.Error{ID: id, Kind: compute.ErrInvalid, Err: fmt.Errorf("no working tree can be taken there: %w", err),
			Hint: "hostler doctor " + string(id) + " says what it finds there; hostler cp takes files along without an agent"}
	}
	return err
}
