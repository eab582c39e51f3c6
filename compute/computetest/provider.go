package computetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// ProviderOptions tell the suite Provider how to open the place to test, and what to expect there.
type ProviderOptions struct {
	// New opens the place under test. Each call returns a new Provider on the same computers. It
	// may skip the test.
	New func(t *testing.T) compute.Provider
	// Foreign opens the same place for another installation; nil: the suite does not test that
	// others' instances are left alone.
	Foreign func(t *testing.T) compute.Provider
	// Slow opens a place whose computers boot for a second or so; nil: ErrNotReady is tested only
	// where it happens to occur.
	Slow func(t *testing.T) compute.Provider
	// Full opens a place that has room for one computer; nil: ErrNoCapacity is not tested.
	Full func(t *testing.T) compute.Provider

	Source       string        // the source's name, which begins the instances' names; "": "suite"
	Installation string        // for the specs, as it was told to New
	Image        string        // for the specs
	Patience     time.Duration // how long booting and destroying may take; 0: a minute
	Parallel     int           // creates at once; 0: 8
	Reply        string        // not "": the computers run no command, but answer each with this
	Leak         func() []string
	// Leak names what the place has besides its computers: processes, mounts, directories. It is
	// called at the beginning and, after all is destroyed, at the end. What is new then is an
	// error. nil: not checked.
}

// Provider is the suite that every compute.Provider passes, bare and guarded.
func Provider(t *testing.T, o ProviderOptions) {
	t.Helper()
	if o.Source == "" {
		o.Source = "suite"
	}
	if o.Patience == 0 {
		o.Patience = time.Minute
	}
	if o.Parallel == 0 {
		o.Parallel = 8
	}
	s := &providerSuite{o: o}
	var before []string
	if o.Leak != nil {
		before = o.Leak()
	}
	p := o.New(t)
	if static := provider.Of(p).Static; static != nil && len(static.Names()) > 0 {
		s.fixed = static.Names()
	}
	for _, c := range []struct {
		name string
		test func(*testing.T)
	}{
		{"life", s.life}, {"same ID, same computer", s.again}, {"unknown", s.unknown}, {"second opening", s.second},
		{"parallel", s.parallel},
		{"cancelled", s.cancelled}, {"outlives the call", s.outlives}, {"booting", s.booting}, {"full", s.full}, {"foreign", s.foreign},
		{"clean", s.clean}, {"check", s.check}, {"fixed", s.names},
	} {
		t.Run(c.name, c.test)
	}
	if s.fixed == nil {
		if left := s.list(t, o.New(t)); len(left) > 0 {
			t.Errorf("after all was destroyed List still has %v", left)
		}
	}
	if o.Leak != nil {
		s.eventually(t, "nothing is left behind", func() error {
			var left []string
			for _, x := range o.Leak() {
				if !slices.Contains(before, x) {
					left = append(left, x)
				}
			}
			if len(left) > 0 {
				return fmt.Errorf("left behind: %s", strings.Join(left, "\n\t"))
			}
			return nil
		})
	}
}

// providerSuite is one run of the suite.
type providerSuite struct {
	o     ProviderOptions
	fixed []string
	last  atomic.Int64
}

// id returns a name never used before, or with fixed computers the i-th one's.
func (s *providerSuite) id(i int) compute.ID {
	if s.fixed != nil {
		return compute.ID(s.o.Source + "-" + s.fixed[i%len(s.fixed)])
	}
	return compute.ID(fmt.Sprintf("%s-%d", s.o.Source, s.last.Add(1)))
}

func (s *providerSuite) spec(id compute.ID) compute.Spec {
	return compute.Spec{ID: id, Source: s.o.Source, Installation: s.o.Installation, Image: s.o.Image}
}

func (s *providerSuite) context(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 6*s.o.Patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually repeats try until it succeeds or patience ends.
func (s *providerSuite) eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	end := time.Now().Add(s.o.Patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 200*time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %v: %v", what, s.o.Patience, err)
		}
		time.Sleep(pause)
	}
}

// create makes a computer and sees to its end.
func (s *providerSuite) create(t *testing.T, p compute.Provider, id compute.ID) compute.Instance {
	t.Helper()
	in, err := p.Create(s.context(t), s.spec(id))
	if err != nil {
		t.Fatalf("Create(%s): %v", id, err)
	}
	if in.ID != id {
		t.Errorf("Create(%s) returned %q", id, in.ID)
	}
	t.Cleanup(func() { s.destroy(t, p, id) })
	return in
}

// destroy asks until the provider says that there is no such computer.
func (s *providerSuite) destroy(t *testing.T, p compute.Provider, id compute.ID) {
	t.Helper()
	s.eventually(t, fmt.Sprintf("Destroy(%s) until ErrNotFound", id), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), s.o.Patience)
		defer cancel()
		err := p.Destroy(ctx, id)
		switch {
		case errors.Is(err, compute.ErrNotFound):
			return nil
		case err == nil:
			return errors.New("asked, still there")
		}
		return err
	})
}

// list returns the sorted IDs of the provider's instances. An ID that is there twice fails the
// test.
func (s *providerSuite) list(t *testing.T, p compute.Provider) []compute.ID {
	t.Helper()
	all, err := p.List(s.context(t))
	if err != nil {
		t.Fatalf("List: %v", err)
	}
	var out []compute.ID
	for _, in := range all {
		if slices.Contains(out, in.ID) {
			t.Errorf("List has %s twice", in.ID)
		}
		out = append(out, in.ID)
	}
	slices.Sort(out)
	return out
}

// connect tries until the instance is ready; any other error fails the test. The connection is
// closed at the end of the test.
func (s *providerSuite) connect(t *testing.T, p compute.Provider, id compute.ID) compute.Conn {
	t.Helper()
	var conn compute.Conn
	s.eventually(t, fmt.Sprintf("Connect(%s)", id), func() error {
		c, err := p.Connect(s.context(t), id)
		if err != nil && !errors.Is(err, compute.ErrNotReady) {
			t.Fatalf("Connect(%s): %v", id, err)
		}
		conn = c
		return err
	})
	t.Cleanup(func() { conn.Close() })
	return conn
}

// run runs a command and returns its standard output.
func (s *providerSuite) run(t *testing.T, conn compute.Conn, args ...string) (string, compute.Exit) {
	t.Helper()
	var out, bad bytes.Buffer
	exit, err := conn.Run(s.context(t), &compute.Command{Args: args, Stdout: &out, Stderr: &bad})
	if err != nil {
		t.Fatalf("run %q: %v (%s)", args, err, bad.String())
	}
	return out.String(), exit
}

// works fails the test unless the computer runs a command.
func (s *providerSuite) works(t *testing.T, conn compute.Conn) {
	t.Helper()
	want := "a b:7"
	out, exit := s.run(t, conn, "sh", "-c", `printf %s:7 "$1"; exit 3`, "x", "a b")
	if s.o.Reply != "" {
		if want = s.o.Reply; out != want {
			t.Errorf("a command answered %q, want %q", out, want)
		}
		return
	}
	if out != want || exit.Code != 3 || exit.Signal != "" {
		t.Errorf("a command answered %q, %+v, want %q and status 3", out, exit, want)
	}
}

// life tests one computer from Create to the proof of its end.
func (s *providerSuite) life(t *testing.T) {
	p, id := s.o.New(t), s.id(0)
	in := s.create(t, p, id)
	if in.ProviderID == "" {
		t.Errorf("Create(%s) says no ProviderID", id)
	}
	if ids := s.list(t, p); !slices.Contains(ids, id) {
		t.Errorf("List has not %s, which was made: %v", id, ids)
	}
	conn := s.connect(t, p, id)
	s.works(t, conn)
	if err := conn.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
	if err := conn.Close(); err != nil {
		t.Errorf("Close again: %v", err)
	}
	s.destroy(t, p, id)
	if s.fixed != nil {
		return
	}
	if ids := s.list(t, p); slices.Contains(ids, id) {
		t.Errorf("List has %s, which is destroyed", id)
	}
	if _, err := p.Connect(s.context(t), id); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("Connect to what is destroyed: %v, want ErrNotFound", err)
	}
	if err := p.Destroy(s.context(t), id); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("Destroy again: %v, want ErrNotFound", err)
	}
}

// again tests that a repeated Create, also by another opening, returns the same computer.
func (s *providerSuite) again(t *testing.T) {
	p, id := s.o.New(t), s.id(0)
	a := s.create(t, p, id)
	for _, q := range []compute.Provider{p, s.o.New(t)} {
		b, err := q.Create(s.context(t), s.spec(id))
		if err != nil {
			t.Fatalf("Create(%s) again: %v", id, err)
		}
		if a.ID != b.ID || a.ProviderID != b.ProviderID {
			t.Errorf("Create(%s) again gave %q %q, first %q %q", id, b.ID, b.ProviderID, a.ID, a.ProviderID)
		}
	}
	n := 0
	for _, x := range s.list(t, p) {
		if x == id {
			n++
		}
	}
	if n != 1 {
		t.Errorf("List has %d of %s", n, id)
	}
}

// unknown tests that computers that do not exist are ErrNotFound, whatever their names.
func (s *providerSuite) unknown(t *testing.T) {
	p := s.o.New(t)
	for _, id := range []compute.ID{compute.ID(s.o.Source + "-none"), "other-1"} {
		if err := p.Destroy(s.context(t), id); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("Destroy(%s), unknown: %v, want ErrNotFound", id, err)
		}
		if _, err := p.Connect(s.context(t), id); !errors.Is(err, compute.ErrNotFound) {
			t.Errorf("Connect(%s), unknown: %v, want ErrNotFound", id, err)
		}
	}
	if s.fixed != nil {
		return
	}
	// Names that would lead out of a directory, or into an option, are refused or taken as names:
	// nothing else.
	for _, id := range []compute.ID{"", ".", "..", "../../etc", "a/../../b", "/", "-rf", "a\x00b", "a\nb"} {
		if err := p.Destroy(s.context(t), id); !errors.Is(err, compute.ErrNotFound) && !errors.Is(err, compute.ErrInvalid) {
			t.Errorf("Destroy(%q): %v, want ErrNotFound or ErrInvalid", id, err)
		}
	}
}

// second tests that another opening of the place sees and uses the same computers.
func (s *providerSuite) second(t *testing.T) {
	p, id := s.o.New(t), s.id(0)
	s.create(t, p, id)
	q := s.o.New(t)
	if ids := s.list(t, q); !slices.Contains(ids, id) {
		t.Errorf("a second opening's List has not %s: the state is not at the provider", id)
	}
	s.works(t, s.connect(t, q, id))
	s.destroy(t, q, id)
	if s.fixed == nil {
		if ids := s.list(t, p); slices.Contains(ids, id) {
			t.Errorf("the first opening's List still has %s", id)
		}
	}
}

// parallel tests concurrent creations, one of them twice at once.
func (s *providerSuite) parallel(t *testing.T) {
	p := s.o.New(t)
	n := s.o.Parallel
	if s.fixed != nil {
		n = min(n, len(s.fixed))
	}
	ids := make([]compute.ID, n)
	for i := range ids {
		ids[i] = s.id(i)
	}
	var wg sync.WaitGroup
	for _, id := range append(slices.Clone(ids), ids[0]) { // one of them twice at once
		wg.Go(func() {
			if _, err := p.Create(s.context(t), s.spec(id)); err != nil {
				t.Errorf("Create(%s): %v", id, err)
			}
		})
	}
	wg.Wait()
	defer func() {
		for _, id := range append(slices.Clone(ids), ids[0]) {
			wg.Go(func() { s.destroyQuiet(t, p, id) })
		}
		wg.Wait()
	}()
	if got := s.list(t, p); s.fixed == nil && !slices.Equal(got, slices.Sorted(slices.Values(ids))) {
		t.Errorf("List has %v, made were %v", got, ids)
	}
	if t.Failed() {
		return
	}
	conns := make([]compute.Conn, n)
	for i, id := range ids {
		conns[i] = s.connect(t, p, id)
	}
	for _, conn := range conns {
		wg.Go(func() {
			var out bytes.Buffer
			if _, err := conn.Run(
				s.context(t), &compute.Command{Args: []string{"echo", "hello"}, Stdout: &out},
			); err != nil || out.Len() == 0 {
				t.Errorf("echo: %q, %v", out.String(), err)
			}
		})
	}
	wg.Wait()
}

// destroyQuiet is destroy for goroutines, which may not end the test.
func (s *providerSuite) destroyQuiet(t *testing.T, p compute.Provider, id compute.ID) {
	end := time.Now().Add(s.o.Patience)
	for {
		err := p.Destroy(s.context(t), id)
		if errors.Is(err, compute.ErrNotFound) {
			return
		}
		if time.Now().After(end) {
			t.Errorf("Destroy(%s): %v, not gone within %v", id, err, s.o.Patience)
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// cancelled tests calls under a context that has ended: whatever they left half-made can be
// finished.
func (s *providerSuite) cancelled(t *testing.T) {
	p, id := s.o.New(t), s.id(0)
	gone, cancel := context.WithCancel(s.context(t))
	cancel()
	// A provider that needs no time may succeed; one that gives up says that it was the context.
	okay := func(op string, err error, also ...error) {
		t.Helper()
		for _, e := range append(also, nil, context.Canceled) {
			if errors.Is(err, e) {
				return
			}
		}
		t.Errorf("%s with a cancelled context: %v", op, err)
	}
	_, err := p.Create(gone, s.spec(id))
	okay("Create", err)
	s.create(t, p, id) // whatever was half-made, the same ID is made whole now
	_, err = p.List(gone)
	okay("List", err)
	conn, err := p.Connect(gone, id)
	okay("Connect", err, compute.ErrNotReady)
	if err == nil {
		conn.Close()
	}
	err = p.Destroy(gone, id)
	okay("Destroy", err, compute.ErrNotFound)
	s.destroy(t, p, id)
}

// outlives looks that what the calls return is not bound to their contexts.
func (s *providerSuite) outlives(t *testing.T) {
	p, id := s.o.New(t), s.id(0)
	ctx, cancel := context.WithCancel(s.context(t))
	if _, err := p.Create(ctx, s.spec(id)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.destroy(t, p, id) })
	cancel()
	s.connect(t, p, id).Close()
	ctx, cancel = context.WithCancel(s.context(t))
	conn, err := p.Connect(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cancel()
	s.works(t, conn)
}

// booting tests that a booting computer is ErrNotReady, listed, and works later.
func (s *providerSuite) booting(t *testing.T) {
	if s.o.Slow == nil {
		t.Skip("booting: this provider's computers are there at once")
	}
	p, id := s.o.Slow(t), s.id(0)
	s.create(t, p, id)
	if conn, err := p.Connect(s.context(t), id); !errors.Is(err, compute.ErrNotReady) {
		t.Errorf("Connect while booting: %v, want ErrNotReady", err)
		if err == nil {
			conn.Close()
		}
	}
	if ids := s.list(t, p); !slices.Contains(ids, id) {
		t.Errorf("List has not %s while it boots", id)
	}
	s.works(t, s.connect(t, p, id))
}

// full tests that a full place returns ErrNoCapacity, except for a computer that it has.
func (s *providerSuite) full(t *testing.T) {
	if s.o.Full == nil {
		t.Skip("full: no place with a limit was given")
	}
	p, a, b := s.o.Full(t), s.id(0), s.id(1)
	s.create(t, p, a)
	if _, err := p.Create(s.context(t), s.spec(b)); !errors.Is(err, compute.ErrNoCapacity) {
		t.Errorf("Create beyond the limit: %v, want ErrNoCapacity", err)
	}
	if _, err := p.Create(s.context(t), s.spec(a)); err != nil {
		t.Errorf("Create of what is there already, in a full place: %v", err)
	}
	s.destroy(t, p, a)
	s.create(t, p, b)
}

// foreign tests that another installation neither sees nor ends a computer.
func (s *providerSuite) foreign(t *testing.T) {
	if s.o.Foreign == nil {
		t.Skip("foreign: there is no way to open this place for another installation")
	}
	p, q, id := s.o.New(t), s.o.Foreign(t), s.id(0)
	s.create(t, p, id)
	if ids := s.list(t, q); slices.Contains(ids, id) {
		t.Errorf("another installation lists %s", id)
	}
	if err := q.Destroy(s.context(t), id); !errors.Is(err, compute.ErrNotFound) {
		t.Errorf("another installation's Destroy(%s): %v, want ErrNotFound", id, err)
	}
	if c := provider.Of(q).Cleaner; c != nil {
		if _, err := c.Clean(s.context(t), id); err == nil {
			t.Errorf("another installation may clean %s", id)
		}
	}
	s.works(t, s.connect(t, p, id))
}

// check tests that a Checker, and a HealthCache, tell a fit computer from one that does not exist.
func (s *providerSuite) check(t *testing.T) {
	p, id := s.o.New(t), s.id(0)
	can := provider.Of(p)
	c, w := can.Health.Checker, can.Health.Cache
	if c == nil {
		t.Skip("check: this provider is no Checker")
	}
	if err := c.Check(s.context(t), "other-1"); err == nil {
		t.Error("Check of an unknown computer: nil")
	}
	s.create(t, p, id)
	s.connect(t, p, id)
	if err := c.Check(s.context(t), id); err != nil {
		t.Errorf("Check: %v", err)
	}
	if w == nil {
		return
	}
	identity := ""
	if can.Identity.Of != nil {
		var err error
		if identity, err = can.Identity.Of(s.context(t), id); err != nil {
			t.Fatal(err)
		}
	}
	if w.Fit("other-1", identity) {
		t.Error("an unknown computer is known to be fit")
	}
	t.Logf("it is known to be fit: %v", w.Fit(id, identity))
	s.destroy(t, p, id)
	if w.Fit(id, identity) {
		t.Error("a computer that is gone is known to be fit")
	}
}

// names checks that a provider of fixed computers takes their names and refuses others.
func (s *providerSuite) names(t *testing.T) {
	if s.fixed == nil {
		t.Skip("fixed: this provider makes its computers")
	}
	p := s.o.New(t)
	for i := range s.fixed {
		s.create(t, p, s.id(i))
	}
	if _, err := p.Create(s.context(t), s.spec("other-1")); !errors.Is(err, compute.ErrNotFound) && !errors.Is(err, compute.ErrInvalid) {
		t.Errorf("Create of a computer that does not exist: %v, want ErrNotFound or ErrInvalid", err)
	}
}
