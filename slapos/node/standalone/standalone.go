package standalone

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// StartOptions say how a SlapOS runs in its directory.
type StartOptions struct {
	Options
	// the node makes its passes by itself, as hostler node does; else the Wait calls make them
	Auto bool
	// Say and Warn take a line about each act; they may be nil.
	Say, Warn func(line string)
}

// ErrRuns is the error of a start where one runs in the directory already.
var ErrRuns = errors.New("it runs in this directory already")

const (
	patience    = 60 * time.Second // until master and supervisor answer, on a busy machine
	stopTimeout = 300 * time.Second
)

// A Standalone is a SlapOS that runs in a directory: a master, a supervisor, and with Auto a node.
// Its calls may be made by several at once, but for Format and Stop.
type Standalone struct {
	*Layout
	Client *client.Client // of the master

	o     StartOptions
	sv    *supervise.Client
	free  func()
	ctx   context.Context //nolint // of all that runs: it ends with Stop, or when one of them does not stay
	fall  context.CancelCauseFunc
	parts []*process // master, supervisor
	node  *process   // nil without Auto

	mu     sync.Mutex
	passes sync.WaitGroup
	ended  bool
}

// Start runs a SlapOS in a directory of an ordinary user, with the given number of partitions,
// until [Standalone.Stop] is called. Zero options keep their earlier values in the directory. ctx
// is for the start alone.
//
// The next pass starts the earlier programs of the partitions again, and the remains of a killed
// run are mended. A directory whose path is too long for sockets is [ErrTooDeep]; one in which
// another runs is [ErrRuns].
func Start(ctx context.Context, o StartOptions) (_ *Standalone, err error) {
	if err := supported(); err != nil {
		return nil, err
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return nil, &compute.Error{Op: "standalone", Kind: compute.ErrInvalid, Err: err}
	}
	check := o.Options
	if err := check.complete(); err != nil {
		return nil, err
	}
	if err := check.Check(); err != nil {
		return nil, err
	}
	free, err := lockDirectory(filepath.Join(o.Dir, runDir, "slapos-standalone.pid"))
	if err != nil {
		return nil, err
	}
	s := &Standalone{o: o, free: free}
	s.ctx, s.fall = context.WithCancelCause(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Stop(0))
		}
	}()
	if s.Layout, err = makeLayout(&s.o.Options, false); err != nil {
		return nil, err
	}
	s.sv = supervise.NewClient(s.At(instancesDir + "/sv.sock"))
	if s.Client, err = client.New(client.Options{URL: s.Master}); err != nil {
		return nil, err
	}
	master := s.start("slapos-proxy", s.commandArgs("slapos", "proxy", "start"))
	s.parts = append(s.parts, master)
	if err := s.waitFor(ctx, master, func(ctx context.Context) bool {
		_, err := s.Client.Computer(ctx, s.o.Computer)
		return err == nil || !errors.Is(err, client.ErrUnreachable)
	}); err != nil {
		return nil, err
	}
	supervisor := s.start("supervisord", s.commandArgs("slapos", "node", "supervisord", "--nodaemon"))
	s.parts = append(s.parts, supervisor)
	if err := s.waitFor(ctx, supervisor, func(ctx context.Context) bool { _, err := s.sv.Groups(ctx); return err == nil }); err != nil {
		return nil, err
	}
	if err := s.format(ctx); err != nil {
		return nil, err
	}
	// The earlier programs have ended, and are to run again.
	if err := s.forget(); err != nil {
		return nil, &compute.Error{Op: "standalone", Kind: compute.ErrFailed, Err: err}
	}
	s.begin()
	return s, nil
}

// commandArgs are those of a command with our settings.
func (s *Standalone) commandArgs(all ...string) []string { return append(all, "--cfg", s.At(Config)) }

// Computer is the ID of the node.
func (s *Standalone) Computer() string { return s.o.Computer }

// begin starts the node, if it is to make its passes by itself.
func (s *Standalone) begin() {
	if !s.o.Auto {
		return
	}
	words := []string{"node"}
	if s.o.InstanceOnly {
		words = append(words, "--instance-only")
	}
	s.node = s.start("slapos-node-auto", s.commandArgs(words...))
}

// Done is closed when it has ended: by Stop, or as one of its processes does not stay, which
// [Standalone.Err] then says.
func (s *Standalone) Done() <-chan struct{} { return s.ctx.Done() }

// Err is why it ended by itself; nil: it has not, or was stopped.
func (s *Standalone) Err() error {
	if err := context.Cause(s.ctx); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// Format has other partitions: those of Partitions, Base, IPv4, IPv6 and NoIPv6 that are said.
// Those that are too many are removed, with their instances and all their files. No pass may run
// meanwhile.
func (s *Standalone) Format(ctx context.Context, o Options) error {
	s.end(&s.node)
	next := s.o.Options
	next.Partitions, next.Base = cmp.Or(o.Partitions, next.Partitions), cmp.Or(o.Base, next.Base)
	if o.IPv4.IsValid() {
		next.IPv4 = o.IPv4
	}
	if o.NoIPv6 || o.IPv6.IsValid() {
		next.IPv6, next.NoIPv6 = o.IPv6, o.NoIPv6
	}
	l, err := makeLayout(&next, true)
	if err == nil {
		s.Layout, s.o.Options = l, next
		err = s.format(ctx)
	}
	s.begin()
	return err
}

// format removes surplus partitions with all that runs in them, makes the missing ones, and tells
// the master.
func (s *Standalone) format(ctx context.Context) error {
	names, err := s.surplusPartitions()
	if err != nil {
		return &compute.Error{Op: "standalone", Kind: compute.ErrFailed, Err: err}
	}
	for _, name := range names {
		s.say("Removing the partition %s.", name)
		if err := s.sv.Remove(ctx, name); err != nil && !errors.Is(err, compute.ErrNotFound) {
			return err
		}
		if err := endPartition(ctx, s.o.Computer, s.At(instancesDir+"/"+name)); err != nil {
			return err
		}
	}
	if err := s.remove(names); err != nil {
		return &compute.Error{Op: "standalone", Kind: compute.ErrFailed, Err: err}
	}
	if err := s.pass(ctx, Formatting, s.commandArgs("slapos", "node", "format", "--now"), WaitOptions{}); err != nil {
		return err
	}
	return nil
}

// Supply marks a release to be built here by the next pass over software.
func (s *Standalone) Supply(ctx context.Context, release string) error {
	return s.Client.Supply(ctx, release, s.o.Computer, proto.Available)
}

// Unsupply marks a release to be removed by the next pass over software.
func (s *Standalone) Unsupply(ctx context.Context, release string) error {
	return s.Client.Supply(ctx, release, s.o.Computer, proto.Destroyed)
}

// Request asks for an instance, or for a change of one, and returns its state. Connection
// parameters are there after a pass over instances. If there is no place yet it returns
// [client.ErrNotFound].
func (s *Standalone) Request(ctx context.Context, q *proto.Request) (*proto.Instance, error) {
	return s.Client.Request(ctx, q)
}

// Stop ends passes, the node, the programs of all partitions, the supervisor and the master, and
// returns when they have ended. Where the programs have not ended within the timeout, 0 is 300 s,
// the error says so, and the next start takes them over. Called again it does nothing.
func (s *Standalone) Stop(timeout time.Duration) error {
	s.mu.Lock()
	ended := s.ended
	s.ended = true
	s.mu.Unlock()
	if ended {
		return nil
	}
	s.fall(nil) // passes end
	s.passes.Wait()
	s.end(&s.node)
	var err error
	if len(s.parts) == 2 {
		ctx, cancel := context.WithTimeout(context.Background(), cmp.Or(timeout, stopTimeout))
		defer cancel()
		if err = s.sv.Stop(ctx, "all"); err != nil {
			err = &compute.Error{
				Op: "standalone", Kind: compute.ErrFailed,
				Err:  fmt.Errorf("programs of the partitions may run still: %w", err),
				Hint: "the next start takes them over",
			}
		}
	}
	for i := len(s.parts) - 1; i >= 0; i-- {
		s.end(&s.parts[i])
	}
	if s.sv != nil {
		err = errors.Join(err, s.sv.Close())
	}
	if s.Client != nil {
		s.Client.Close()
	}
	s.free()
	return err
}

func (s *Standalone) say(format string, args ...any) {
	if s.o.Say != nil {
		s.o.Say(fmt.Sprintf(format, args...))
	}
}

func (s *Standalone) warn(format string, args ...any) {
	if s.o.Warn != nil {
		s.o.Warn(fmt.Sprintf(format, args...))
	}
}

// log is the log file of a process.
func (s *Standalone) log(name string) string { return s.At(logsDir + "/" + name + ".log") }

// open opens a log.
func (s *Standalone) open(name string) (*os.File, error) {
	return os.OpenFile(s.log(name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
}
