package node

import (
	"cmp"
	"context"
	"crypto/md5"
	"encoding/hex"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/promise"
	"github.com/hostler-project/hostler/slapos/node/runas"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// Master gives the wishes for a computer, and takes reports of the results.
type Master interface {
	Computer(ctx context.Context, id string) (*proto.Computer, error)
	Certificate(ctx context.Context, computer, partition string) (*proto.Certificate, error)
	ReportInstance(ctx context.Context, computer, partition, state string) (string, error)
	ReportInstanceError(ctx context.Context, computer, partition, shared, log string) error
	SetRelated(ctx context.Context, computer, partition string, titles []string) error
	Asker
}

// Asker is the master as an instance uses it.
type Asker interface {
	Request(ctx context.Context, q *proto.Request) (*proto.Instance, error)
	SetConnection(ctx context.Context, computer, partition, shared string, parameters proto.Dictionary) error
}

// Supervisor keeps programs running, in groups by name.
type Supervisor interface {
	Put(ctx context.Context, g supervise.Group) (changed bool, err error)
	Remove(ctx context.Context, name string) error
	Start(ctx context.Context, names ...string) error
	Status(ctx context.Context, names ...string) ([]supervise.Status, error)
}

// Config says for which computer an agent works, and how.
type Config struct {
	Computer     string // its ID
	MasterURL    string
	InstanceRoot string // has the partitions' directories
	SoftwareRoot string // has the releases'

	KeyFile, CertFile string // the computer's identity; "": the master does not ask for one
	Certificates      string // directory of the partitions' own; "": there are none
	SharedParts       []string
	BuildTimeParts    []string
	StorageHome       string
	GlobalIPv4        string

	Free        int64         // bytes that there must be before a partition is processed
	Limit       time.Duration // of what is run to process a partition; 0: none
	Periodicity time.Duration
	// the first pause of an instance that waits for what others publish, and was not told anything
	// new for some passes; 0: 5 s
	Retry time.Duration
	// Patience is how long a pass waits for one partition before it goes on with the next one,
	// while that is still being processed; 0: as long as it takes.
	Patience time.Duration

	Debug bool           // buildout is told so
	Keep  supervise.Keep // how the programs of etc/service are kept
	// by partition, the limits of all its programs together
	Limits map[string]supervise.Limits
	// like os.Environ: programs that process instances get it, without variables that would
	// misguide them
	Environ []string
}

// Agent does passes over the partitions of a computer. One pass at a time. It is not to be copied.
type Agent struct {
	Config
	Master     Master
	Supervisor Supervisor

	// More steps for a partition; nil: none. Promises checks its promises. news is promise.AnyNew;
	// the error of a failed promise has a *promise.Failure in it.
	Promises func(ctx context.Context, p *PartitionDir, mode promise.Mode) (news bool, err error)
	// before a partition is looked at, and after
	Hook func(ctx context.Context, p *PartitionDir, done bool) error
	// its rules
	Firewall func(ctx context.Context, p *PartitionDir, wanted bool) error
	// the master as the partition's instance asks it; nil: as Master
	Ask func(partition string) (Asker, func(), error)

	Say  func(format string, args ...any) // takes a line about each act; may be nil
	Warn func(format string, args ...any) // and what is odd

	works runningTasks
	ended func() // called when a work that no pass waited for has ended; may be nil
	// names of partitions of which the master has yet to hear that all is well again
	untold sync.Map
}

// PartitionDir is a partition, with its directory, that something is done with.
type PartitionDir struct {
	*proto.Partition
	Dir     *home.Dir
	Release string      // the directory of its software release
	User    *runas.User // the user of its programs; nil: our own
	Name    string      // of that user
	Home    string      // the partition's directory, by its path
}

// Options say how a pass is.
type Options struct {
	Only  []string
	Force bool
	Stop  bool // programs that should run are stopped, and the master is told nothing
}

// Failure is what went wrong with a partition.
type Failure struct {
	Partition, Type string
	Err             error
}

// Outcome is what came of a pass.
type Outcome struct {
	Failed   []Failure // could not be processed
	Promises []Failure // were processed, and promises failed
	Offline  bool      // the master was not reached
	Idle     error     // and what should run could not be started, for this reason; nil: it was
	Done     int       // partitions that were processed
}

// Status is the exit status of a pass.
func (o *Outcome) Status() int {
	switch {
	case o.Idle != nil:
		return 1
	case o.Offline:
		return 3
	case len(o.Failed) > 0:
		return 1
	case len(o.Promises) > 0:
		return 2
	}
	return 0
}

// Instances does a pass: it asks the master what is wanted, and brings it about. The error is that
// the pass could not begin, or that ctx ended. An unreachable master is no error: programs that
// should run are then started.
func (a *Agent) Instances(ctx context.Context, o Options) (Outcome, error) {
	a.say("Processing computer partitions...")
	c, err := a.Master.Computer(ctx, a.Computer)
	if err != nil {
		return a.offline(ctx, Outcome{}, err)
	}
	out, err := a.Apply(ctx, c, o)
	if err == nil {
		a.say("Finished computer partitions.")
	}
	return out, err
}

// Apply is Instances with a document of the master's that the caller has already.
func (a *Agent) Apply(ctx context.Context, c *proto.Computer, o Options) (out Outcome, err error) {
	for i := range c.Partitions {
		a.removeBadPeriod(&c.Partitions[i])
	}
	steps, err := a.Plan(c, o)
	if err != nil {
		return out, err
	}
	for _, s := range steps {
		beside, err := a.begin(ctx, s, o)
		switch {
		case ctx.Err() != nil:
			return out, context.Cause(ctx)
		case beside:
			continue
		case errors.Is(err, client.ErrUnreachable):
			return a.offline(ctx, out, err)
		case err != nil:
			f := Failure{s.Partition.ID, s.Partition.Type, err}
			if isPromise(err) {
				out.Promises = append(out.Promises, f)
			} else {
				out.Failed = append(out.Failed, f)
			}
		}
		if s.Action == Process {
			out.Done++
		}
	}
	return out, nil
}

func isPromise(err error) bool {
	_, ok := errors.AsType[*promise.Failure](err)
	return ok
}

// offline goes on without a master.
func (a *Agent) offline(ctx context.Context, out Outcome, err error) (Outcome, error) {
	if !errors.Is(err, client.ErrUnreachable) {
		return out, err
	}
	a.warn("The master is not reached: %v. What should run is started.", err)
	out.Offline = true
	if err := a.Supervisor.Start(ctx, "all"); ctx.Err() != nil {
		return out, context.Cause(ctx)
	} else if err != nil {
		a.warn("What should run cannot be started: %v", err)
		out.Idle = err
	}
	return out, nil
}

// Plan looks at what there is, and says what a pass would do.
func (a *Agent) Plan(c *proto.Computer, o Options) ([]Step, error) {
	seen := make(map[string]observed, len(c.Partitions))
	for i := range c.Partitions {
		if p := &c.Partitions[i]; plain(p.ID) {
			seen[p.ID] = a.observe(p)
		}
	}
	return plan(c, seen, rules{Computer: a.Computer, Only: o.Only, Force: o.Force, Stop: o.Stop, Periodicity: a.Periodicity})
}

const (
	stampFile    = ".timestamp"
	resourceFile = ".slapos-resource"
	maxStamp     = 4 << 10
)

// observe observes a partition.
func (a *Agent) observe(p *proto.Partition) (s observed) {
	d, err := home.Open(a.dir(p.ID))
	if err != nil {
		return s
	}
	defer d.Close()
	s.Exists = true
	if p.Release == "" {
		names, err := d.List(".", 10000)
		for _, name := range names {
			if name != resourceFile && name != stampFile && name != logDir && len(s.Stray) < 5 {
				s.Stray = append(s.Stray, name)
			}
		}
		if err != nil {
			s.Stray = append(s.Stray, err.Error())
		}
		return s
	}
	if text, err := d.Read(stampFile, maxStamp); err == nil {
		s.Timestamp = string(text)
	}
	if i, err := d.Stat(stampFile); err == nil {
		s.Age = time.Since(i.ModTime())
	}
	s.Period = a.period(p)
	left, waits := a.wait(p.ID, time.Now())
	s.Unsettled = waits && left == 0
	return s
}

const (
	periodFile = "periodicity" // in a release's directory
	maxPeriod  = 100           // bytes
)

// period is how often a release wants its instances processed; nil: it does not say so that it can
// be understood.
func (a *Agent) period(p *proto.Partition) *time.Duration {
	d, err := home.Open(a.release(p.Release))
	if err != nil {
		return nil
	}
	defer d.Close()
	text, err := d.Read(periodFile, maxPeriod)
	if err != nil {
		return nil
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 32)
	if err != nil {
		return nil
	}
	period := time.Duration(n) * time.Second
	return &period
}

// removeBadPeriod takes away what a release says about that and cannot be understood.
func (a *Agent) removeBadPeriod(p *proto.Partition) {
	d, err := home.Open(a.release(p.Release))
	if p.Release == "" || err != nil {
		return
	}
	defer d.Close()
	if _, err := d.Stat(periodFile); err == nil && a.period(p) == nil {
		a.warn("%s: %s/%s is no number of seconds, and is removed", p.ID, d.Path(), periodFile)
		_ = d.Remove(periodFile)
	}
}

func (a *Agent) dir(id string) string { return filepath.Join(a.InstanceRoot, id) }

func (a *Agent) release(url string) string {
	sum := md5.Sum([]byte(url))
	return filepath.Join(a.SoftwareRoot, hex.EncodeToString(sum[:]))
}

func (a *Agent) say(format string, args ...any) {
	if a.Say != nil {
		a.Say(format, args...)
	}
}

func (a *Agent) warn(format string, args ...any) {
	if a.Warn != nil {
		a.Warn(format, args...)
	}
}

// Report is the summary of failures for the end of a pass; "" without failures.
func (o *Outcome) Report() string {
	var b strings.Builder
	for _, part := range []struct {
		title string
		all   []Failure
	}{{"Error while processing the following partitions:", o.Failed}, {"Error with promises for the following partitions:", o.Promises}} {
		if len(part.all) == 0 {
			continue
		}
		fmt.Fprintf(&b, "%s\n%s\n", strings.Repeat("=", 80), part.title)
		for _, f := range part.all {
			fmt.Fprintf(&b, "  %s[%s]: %v\n", f.Partition, cmp.Or(f.Type, "default"), f.Err)
		}
	}
	return strings.TrimSuffix(b.String(), "\n")
}
