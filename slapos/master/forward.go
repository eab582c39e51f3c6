package master

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/master/access"
	"github.com/hostler-project/hostler/slapos/master/ledger"
	"github.com/hostler-project/hostler/slapos/proto"
	slapclient "github.com/hostler-project/hostler/slapos/proto/client"
	"github.com/hostler-project/hostler/slapos/record"
	"github.com/hostler-project/hostler/store"
)

// An External is another master. Requests that name its URL, and those for its releases, are passed
// on to it.
type External struct {
	URL                 string
	CertFile, KeyFile   string
	CAFile              string
	Releases            []string
	Computer, Partition string // as which it is asked; "": as a user
}

type baseKey struct{}

// withBase says under which URL this master was asked, so that it knows that as its own.
func withBase(ctx context.Context, base string) context.Context {
	return context.WithValue(ctx, baseKey{}, base)
}

type passedKey struct{}

// RequestContext is the context of a request for an instance: under which URL this master was
// asked, and which others have passed it on.
func RequestContext(r *http.Request, base string) context.Context {
	ctx := withBase(r.Context(), base)
	if text := r.Header.Get(slapclient.PassedHeader); text != "" {
		ctx = context.WithValue(ctx, passedKey{}, strings.SplitN(text, ",", maxPassed+1))
	}
	return ctx
}

// maxPassed is how many masters may have passed a request on.
const maxPassed = 8

// destination is where a request is to go, if no instance here is meant; refused: why it cannot go
// there.
type destination struct {
	external *External
	named    bool // by its URL, which may be that of this master
	refused  error
}

// otherMaster finds the other master that a request is for; nil: none.
func (m *requests) otherMaster(ctx context.Context, a *requestState) *destination {
	if ctx.Value(hereKey{}) != nil {
		return nil
	}
	if a.filter["master_url"] != "" {
		for i := range m.opt.Masters {
			if slashed(m.opt.Masters[i].URL) == slashed(a.filter["master_url"]) {
				return &destination{external: &m.opt.Masters[i], named: true}
			}
		}
		return &destination{
			named: true,
			refused: access.Refuse(
				compute.ErrNotFound, "External SlapOS Master URL %s is not listed in multimaster list.",
				a.filter["master_url"],
			),
		}
	}
	for i := range m.opt.Masters {
		if slices.Contains(m.opt.Masters[i].Releases, a.Release) {
			return &destination{external: &m.opt.Masters[i]}
		}
	}
	return nil
}

func slashed(url string) string { return strings.TrimSuffix(url, "/") + "/" }

// passOn passes a request on, and remembers that. One that turns out to be for this master
// itself is answered here.
func (m *requests) passOn(ctx context.Context, a *requestState, to *destination) (*Answer, error) {
	base, _ := ctx.Value(baseKey{}).(string)
	asked := a.filter["master_url"]
	if !to.named {
		asked = to.external.URL
	}
	if base != "" && slashed(base) == slashed(asked) {
		return m.answerLocally(ctx, a)
	}
	if to.refused != nil {
		return nil, to.refused
	}
	if x := to.external; strings.HasPrefix(x.URL, "https:") && (x.CertFile == "" || x.KeyFile == "") {
		return nil, access.Refuse(
			compute.ErrNotFound,
			"External SlapOS Master URL %s is https, and its section [multimaster/%s] has no key and cert.", x.URL,
			x.URL,
		)
	}
	passed, _ := ctx.Value(passedKey{}).([]string)
	if slices.Contains(passed, m.ledger.RunID) || len(passed) >= maxPassed {
		return nil, access.Refuse(
			compute.ErrNotFound,
			"%s was passed on from master to master and came back, or went too far: each has %s in its list of what another one has. One of them must not.",
			a.Title, a.Release,
		)
	}
	client, err := slapclient.New(slapclient.Options{URL: to.external.URL, CertFile: to.external.CertFile,
		KeyFile: to.external.KeyFile, CAFile: to.external.CAFile,
		Passed: append(slices.Clone(passed), m.ledger.RunID)})
	if err != nil {
		return nil, err
	}
	defer client.Close()
	if _, other := m.others.Load(to.external.URL); !other {
		id, err := client.RunID(ctx)
		if err == nil && id == m.ledger.RunID {
			return m.answerLocally(ctx, a)
		}
		if err == nil {
			m.others.Store(to.external.URL, true)
		}
	}
	title := a.callerName() + "_" + a.Title
	q := proto.Request{Release: a.Release, Type: a.Type, Title: title, Parameters: a.Parameters,
		Filter: maps.Clone(a.Filter), State: a.State, Shared: a.Shared,
		Computer: to.external.Computer, Partition: to.external.Partition}
	if q.Computer == "" || q.Partition == "" {
		q.Computer, q.Partition = "", ""
		if q.Filter == nil {
			q.Filter = proto.Dictionary{}
		}
		q.Filter["source_instance_id"] = title
	}
	if err := m.remember(ctx, a, title, to.external.URL); err != nil {
		return nil, err
	}
	access.NoteChange(ctx) // whatever that one does
	v, err := client.RequestValue(ctx, &q)
	if err != nil {
		return nil, translateError(err)
	}
	object, err := relayedAnswer(v, to.external.URL, a)
	if err != nil {
		return nil, err
	}
	return &Answer{Object: object}, nil
}

// callerName is the name of the caller for the other master. For an unknown caller it is the
// reference's. A known caller has a text of its own, so no caller gets what another has asked
// for under the same title.
func (a *requestState) callerName() string {
	esc := url.QueryEscape
	switch {
	case a.who.Computer != "" || a.who.Instance != "":
		return "node:" + esc(a.caller.Computer) + ":" + esc(a.caller.Partition) + ":"
	case a.who.User != "":
		return "user:" + esc(a.who.User) + ":" + esc(a.project()) + ":"
	case a.Computer != "":
		return a.Partition
	}
	return "user"
}

type hereKey struct{}

// answerLocally answers a request that named this master as another one, or whose release is in
// this master's own list of releases that other masters have.
func (m *requests) answerLocally(ctx context.Context, a *requestState) (*Answer, error) {
	q := *a.Request
	q.Filter = maps.Clone(q.Filter)
	delete(q.Filter, "master_url")
	return m.Request(context.WithValue(ctx, hereKey{}, true), a.who, &q)
}

// remember keeps that a request was passed on, before it is; one that something be destroyed is
// forgotten.
func (m *requests) remember(ctx context.Context, a *requestState, title, url string) error {
	return m.ledger.Do(ctx, func(b ledger.View) error {
		known, err := b.Forward(title, url)
		if err != nil || known == (a.State != proto.Destroyed) {
			return err
		}
		if known {
			return b.Save(ledger.Deletion(record.KindForward, ledger.Key(title, url)))
		}
		return b.Save(store.SlapEntry{
			Kind: record.KindForward, Key: ledger.Key(title, url),
			Data: ledger.Pack(&record.Forward{Title: title, Master: url, Created: a.now}),
		})
	})
}

// translateError turns an error of another master into ours: a refusal stays a refusal.
func translateError(err error) error {
	var e *slapclient.Error
	if !errors.As(err, &e) {
		return err
	}
	r := &access.Refusal{Kind: compute.ErrUnavailable, Text: e.Reason, Detail: "the master " + e.Master + " says so"}
	switch {
	case errors.Is(err, slapclient.ErrNotReady):
		r.Kind = slapclient.ErrNotReady
	case errors.Is(err, slapclient.ErrNotFound):
		r.Kind = compute.ErrNotFound
	case errors.Is(err, slapclient.ErrDenied):
		r.Kind = compute.ErrDenied
	case e.Status >= 400 && e.Status < 500:
		r.Kind = compute.ErrInvalid
	}
	if r.Text == "" {
		r.Text, r.Detail = strings.TrimPrefix(err.Error(), "slap: "), ""
	}
	return r
}

// relayedAnswer is the answer of another master as the reference passes it on.
func relayedAnswer(v any, url string, a *requestState) (*proto.Object, error) {
	n, err := proto.ReadInstance(v)
	if err != nil {
		return nil, &access.Refusal{
			Kind: compute.ErrUnavailable, Text: "The answer of the master " + url + " cannot be read.",
			Detail: err.Error(),
		}
	}
	attributes := maps.Clone(v.(*proto.Object).Attributes)
	if attributes == nil {
		attributes = proto.Dictionary{}
	}
	maps.Copy(attributes, proto.Dictionary{"_computer_id": n.Computer, "_partition_id": n.Partition, "_request_dict": nil,
		"_connection_helper": nil,
		"_hateoas_navigator": nil, "_master_url": url, "_software_release_document": a.Release})
	if a.Shared {
		attributes["_synced"] = true
	}
	return &proto.Object{Class: proto.ClassPartition, Args: proto.Tuple{n.Computer, n.Partition, nil}, Attributes: attributes}, nil
}
