package pool_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/inventory"
	"github.com/hostler-project/hostler/pool"
)

// server is where the templates of sources are: it may hang, or be slow.
type server struct {
	mu    sync.Mutex
	hangs chan struct{} // closed when it goes on; nil: it does not hang
	takes time.Duration
	asked map[string]int
	files map[string]*file
}

func (v *server) set(hangs chan struct{}, takes time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.hangs, v.takes = hangs, takes
	clear(v.asked)
}

func (v *server) reads(source string) int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.asked[source]
}

// remoteFile is a provider whose template is on such a server. What it makes it makes of it all the
// same.
type remoteFile struct {
	likeFile
	v      *server
	source string
}

func (l remoteFile) Template() (string, error) {
	l.v.mu.Lock()
	l.v.asked[l.source]++
	hangs, takes := l.v.hangs, l.v.takes
	l.v.mu.Unlock()
	if l.source != "near" {
		if hangs != nil {
			<-hangs
		}
		time.Sleep(takes)
	}
	return l.likeFile.Template()
}

func (v *server) wrap(o *pool.Options) {
	inner := o.Open
	o.Open = func(ctx context.Context, name, typ string, def []byte) (compute.Provider, error) {
		p, err := inner(ctx, name, typ, def)
		if err != nil {
			return nil, err
		}
		return remoteFile{likeFile{p, v.files[name]}, v, name}, nil
	}
}

// onServer runs a test on sources near, whose template is at hand, and web and other, whose are on
// a server.
func onServer(t *testing.T, also func(*pool.Options), f func(t *testing.T, ctx context.Context, r *rig, v *server, sources []pool.Source)) {
	v := &server{asked: map[string]int{}, files: map[string]*file{}}
	var sources []pool.Source
	for _, name := range []string{"near", "other", "web"} {
		v.files[name] = &file{text: "one", made: map[compute.ID]string{}}
		sources = append(sources, pool.Source{Name: name, Type: "fake", Digest: "d", Spare: 2, Idle: 24 * time.Hour})
	}
	change := func(o *pool.Options) {
		if also != nil {
			also(o)
		}
		v.wrap(o)
	}
	inBubble(t, change, sources, func(t *testing.T, ctx context.Context, r *rig) {
		for _, s := range sources {
			must(t, second(r.Fill(ctx, s.Name)))
		}
		f(t, ctx, r, v, sources)
	})
}

// look rolls what is to be rolled, and tells how long that held up who looks.
func (r *rig) look(t *testing.T, ctx context.Context) time.Duration {
	t.Helper()
	var all sync.WaitGroup
	start := time.Now()
	must(t, r.Rolling(ctx, pool.ReconcileOptions{Go: all.Go, Done: func() {}}))
	took := time.Since(start)
	all.Wait()
	must(t, second(r.RunDue(ctx)))
	return took
}

// all tells whether those of a source that stand ready are of a text.
func (v *server) all(t *testing.T, ctx context.Context, r *rig, source, text string) bool {
	t.Helper()
	rs, err := r.Instances(ctx, inventory.InstanceQuery{Source: source, States: []compute.State{compute.Ready}})
	must(t, err)
	return len(rs) > 0 && !slices.ContainsFunc(rs, func(i compute.Instance) bool { return v.files[source].of(i.ID) != text })
}

// TestTemplateHangs: while the server of templates hangs, who looks what is due waits for it some
// seconds once, for all sources together, and one read of each is under way; others are rolled
// meanwhile. What was known to be of an old one does not stand ready again, by another process
// neither; what is not, does. When it goes on, what was edited meanwhile is found.
func TestTemplateHangs(t *testing.T) {
	onServer(t, nil, func(t *testing.T, ctx context.Context, r *rig, v *server, sources []pool.Source) {
		old := []compute.Lease{r.take(t, ctx, compute.Request{}), r.take(t, ctx, compute.Request{})}
		v.files["web"].edit("two")
		must(t, second(r.Fill(ctx, "web")))
		r.look(t, ctx)
		if !v.all(t, ctx, r, "web", "two") {
			t.Fatal("it is not replaced while the server answers")
		}
		late := r.take(t, ctx, compute.Request{})
		hangs := make(chan struct{})
		v.set(hangs, 0)
		defer func() { // whatever is wrong
			select {
			case <-hangs:
			default:
				close(hangs)
			}
		}()
		v.files["near"].edit("two")
		if took := r.look(t, ctx); took <= 0 || took > 5*time.Second {
			t.Errorf("the first look has waited for %v", took)
		}
		if !v.all(t, ctx, r, "near", "two") {
			t.Error("a source whose template is at hand is not rolled")
		}
		for range 10 {
			if took := r.look(t, ctx); took > 0 {
				t.Errorf("a later look has waited for %v", took)
			}
			time.Sleep(time.Minute)
		}
		for _, name := range []string{"web", "other"} {
			if n := v.reads(name); n != 1 {
				t.Errorf("%s: %d reads are under way", name, n)
			}
		}
		another := newRigOn(t, r.store, r.clouds, sources, v.wrap)
		must(t, second(another.Fill(ctx, "web")))
		for n, by := range []*rig{r, another} {
			must(t, by.Release(ctx, ann, compute.ReleaseOptions{}, old[n].Instance))
			must(t, second(by.RunDue(ctx)))
			if got := r.state(t, ctx, old[n].Instance); got != "gone" {
				t.Errorf("engine %d: one that was known to be old is %s", n, got)
			}
		}
		must(t, r.Release(ctx, ann, compute.ReleaseOptions{}, late.Instance))
		must(t, second(r.RunDue(ctx)))
		if got := r.state(t, ctx, late.Instance); got != compute.Ready {
			t.Errorf("one that is not known to be old is %s", got)
		}
		v.files["web"].edit("three")
		close(hangs)
		v.set(nil, 0)
		time.Sleep(time.Second)
		r.look(t, ctx)
		if !v.all(t, ctx, r, "web", "three") {
			t.Error("what was edited while the server hung is not found")
		}
	})
}

// TestTemplateSlow: of a server that takes longer than one waits, what it said is known by the next
// look.
func TestTemplateSlow(t *testing.T) {
	onServer(t, nil, func(t *testing.T, ctx context.Context, r *rig, v *server, _ []pool.Source) {
		v.set(nil, 7*time.Second)
		v.files["web"].edit("two")
		for range 4 {
			r.look(t, ctx)
			time.Sleep(15 * time.Second)
		}
		if !v.all(t, ctx, r, "web", "two") {
			t.Error("it is not replaced")
		}
	})
}

// TestPromotedWhileTemplateHangs: instances of another image than the promoted one are known by
// that, whatever their template.
func TestPromotedWhileTemplateHangs(t *testing.T) {
	c := &chooser{specs: map[compute.ID]compute.Spec{}, mu: &sync.Mutex{}}
	onServer(t, choosing(c), func(t *testing.T, ctx context.Context, r *rig, v *server, _ []pool.Source) {
		hangs := make(chan struct{})
		defer close(hangs)
		v.set(hangs, 0)
		_, err := r.Promote(ctx, "web", "debian-12")
		must(t, err)
		must(t, r.RollOut(ctx, "web", nil))
		for _, id := range r.ready(t, ctx) {
			if got := c.image(id); got != "i-12" {
				t.Errorf("%s is of image %q", id, got)
			}
		}
	})
}
