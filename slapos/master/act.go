package master

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/slapos/slap"
)

// An Act is what became of a request, for who keeps a record of such.
type Act struct {
	Who   Who
	Thing string // what it was about
	// something is otherwise by it, here or at another master; that a node says how it is, is no
	// change
	Changed bool
}

type actKey struct{}

// WithAct has what becomes of a request that is made with the context noted in a.
func WithAct(ctx context.Context, a *Act) context.Context { return context.WithValue(ctx, actKey{}, a) }

// changed notes that a request has changed something.
func changed(ctx context.Context) {
	if a, ok := ctx.Value(actKey{}).(*Act); ok {
		a.Changed = true
	}
}

// about notes what a request is about: a title, a place, a release.
func about(ctx context.Context, words ...string) {
	if a, ok := ctx.Value(actKey{}).(*Act); ok {
		a.Thing = row(words...)
	}
}

// row is words in a row, without those that are "".
func row(words ...string) string {
	return strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")
}

// noting is Who, which notes its answer.
func noting(who func(*http.Request) (Who, error)) func(*http.Request) (Who, error) {
	return func(r *http.Request) (Who, error) {
		is, err := who(r)
		if a, ok := r.Context().Value(actKey{}).(*Act); ok {
			a.Who = is
		}
		return is, err
	}
}

// Route is the name of what serves a path, among those that a master has; "": nothing does.
func Route(path string) string {
	name := strings.TrimPrefix(path, "/")
	if _, ok := legacyReads[name]; ok {
		return name
	}
	if _, ok := legacyWrites[name]; ok {
		return name
	}
	if _, ok := slap.FindMethod(name); ok {
		return name
	}
	switch {
	case path == personPath, path == registerPath, path == watchPath, path == reportPath, path == revokePath:
		return name
	case strings.HasSuffix(path, "/"+tokenPath):
		return tokenPath
	case path == "/hateoas", strings.HasPrefix(path, hateoas):
		return "hateoas"
	}
	return ""
}

// Writes says whether a request may change something, or gets by GET what is more than to see: a
// token, or the key of an instance.
func Writes(r *http.Request) bool {
	switch Route(r.URL.Path) {
	case tokenPath, "getComputerPartitionCertificate":
		return true
	}
	return r.Method != http.MethodGet && r.Method != http.MethodHead
}

// Refuse answers a request in the way of what serves its path.
func Refuse(w http.ResponseWriter, r *http.Request, status int, text string) {
	if strings.HasPrefix(r.URL.Path, "/slapos.") || r.URL.Path == reportPath || r.URL.Path == revokePath {
		answerFailure(w, status, text, "")
		return
	}
	answerError(w, status, text)
}

// Counts are how many there are of what a master keeps.
type Counts struct {
	Computers, Partitions, Busy int // of partitions, those that have an instance
	Shared, Waiting             int // instances that are shared; and those that have no place
}

// Counts counts.
func (m *Master) Counts(ctx context.Context) (c Counts, err error) {
	if err := m.fresh(ctx); err != nil {
		return c, err
	}
	m.known.mu.RLock()
	defer m.known.mu.RUnlock()
	for _, of := range m.known.memory.computers {
		if of.record != nil {
			c.Computers++
			c.Partitions += len(of.record.Partitions)
		}
	}
	for _, n := range m.known.memory.byID {
		switch {
		case n.Partition != "":
			c.Busy++
		case !placed(n):
			c.Waiting++
		}
		if n.Shared {
			c.Shared++
		}
	}
	return c, nil
}
