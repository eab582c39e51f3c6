package node

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/node/report"
	"github.com/hostler-project/hostler/slapos/node/software"
	"github.com/hostler-project/hostler/slapos/proto"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

const (
	maxOutput   = 4 << 20 // bytes that a program says
	maxRequests = 1000
	maxRounds   = 2 // a program is run again where what it has asked for is known by then
)

// lightInput is what the program of a lighter release reads.
type lightInput struct {
	Title      string           `json:"title"`
	RootTitle  string           `json:"root_title"`
	State      string           `json:"state"`
	Type       string           `json:"software_type"`
	Parameters any              `json:"parameters"`
	Addresses  []lightAddress   `json:"ip_list"`
	Shared     []lightShared    `json:"shared"`
	Release    string           `json:"release_directory"`
	Partition  string           `json:"partition_directory"`
	Children   map[string]child `json:"children"`
}

type lightAddress struct {
	Interface string `json:"interface"`
	Address   string `json:"address"`
}

type lightShared struct {
	Title      string `json:"title"`
	Reference  string `json:"reference"`
	Type       string `json:"software_type"`
	Parameters any    `json:"parameters"`
}

// child is an instance that a program has asked for.
type child struct {
	State      string         `json:"state,omitempty"`
	Connection map[string]any `json:"connection"`
}

// lightOutput is the program's answer.
type lightOutput struct {
	Connection map[string]any            `json:"connection"`
	Shared     map[string]map[string]any `json:"shared"`
	Request    []lightRequest            `json:"request"`
}

// lightRequest is what a program asks the master for.
type lightRequest struct {
	Title      string         `json:"title"`
	Release    string         `json:"software_release"`
	Type       string         `json:"software_type,omitempty"`
	Parameters map[string]any `json:"parameters,omitempty"`
	State      string         `json:"state,omitempty"`
	Shared     bool           `json:"shared,omitempty"`
	SLA        map[string]any `json:"sla,omitempty"`
}

// lightState is the stored state of such an instance. It lies outside of the partition, as the
// partition's user may not change what was asked for.
type lightState struct {
	Wishes    []lightRequest            `json:"wishes"`
	Children  map[string]child          `json:"children"` // as the program was told of them last
	Shared    map[string]map[string]any `json:"shared"`   // as it was published
	Unsettled bool                      `json:"unsettled"`
	// so often in a row nothing was new to it while it was unsettled
	QuietRounds int `json:"calm,omitempty"`
	// time of the last such round, if Calm counts
	At time.Time `json:"at,omitzero"`
}

// An instance that waits for values of others asks often while there is hope, and then with growing
// pauses: some never publish anything.
const (
	quickRounds = 3 // times, as often as there is a pass
	maxPause    = 10 * time.Minute
	retryPause  = 5 * time.Second
)

// wait is how long an instance is left alone now, though it waits for others; waits: it does.
func (a *Agent) wait(id string, now time.Time) (left time.Duration, waits bool) {
	m := a.lightState(id)
	// the last: a clock that was set back
	if !m.Unsettled || m.QuietRounds < quickRounds || now.Before(m.At) {
		return 0, m.Unsettled
	}
	pause := cmp.Or(a.Retry, retryPause)
	for range m.QuietRounds - quickRounds {
		if pause *= 2; pause >= maxPause {
			pause = maxPause
			break
		}
	}
	return max(0, m.At.Add(pause).Sub(now)), true
}

func (a *Agent) lightStateFile(id string) string {
	return filepath.Join(a.InstanceRoot, report.Memory, id+".json")
}

func (a *Agent) lightState(id string) (m lightState) {
	if text, err := os.ReadFile(a.lightStateFile(id)); err == nil && json.Unmarshal(text, &m) != nil {
		a.warn("%s: what was remembered of it cannot be read", id)
		m = lightState{}
	}
	return m
}

// saveLightState keeps something before it is acted on.
func (a *Agent) saveLightState(id string, m lightState) error {
	dir := filepath.Dir(a.lightStateFile(id))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	d, err := home.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.WriteOur(id+".json", text, 0o600)
}

// light processes an instance by the program of its release.
func (t *task) light(ctx context.Context, r *home.Dir) error {
	if e, err := software.ReadEntryPoint(r); err != nil {
		return err
	} else if _, missing := r.Stat(".completed"); e != nil && missing == nil {
		return entryPoint(t.PartitionDir, e)
	}
	for _, file := range []string{".completed", "instance"} {
		if _, err := r.Stat(file); err != nil {
			return reason(
				"Software Release " + t.Partition.Release + " is not correctly installed. Missing file: " + filepath.Join(t.Release, file),
			)
		}
	}
	m := t.a.lightState(t.ID)
	if m.Children == nil {
		m.Children = map[string]child{}
	}
	news := false
	for range maxRounds {
		again, err := t.round(ctx, &m)
		if err != nil {
			return err
		}
		if news = news || again; !again {
			break
		}
	}
	was := m.QuietRounds
	if m.QuietRounds, m.At = was+1, (time.Time{}); news || !m.Unsettled {
		m.QuietRounds = 0
	} else if m.QuietRounds >= quickRounds {
		m.At = time.Now()
	}
	if m.QuietRounds == was {
		return nil
	}
	return t.a.saveLightState(t.ID, m)
}

// entryPoint makes the entry point of an image the one program of etc/service. Its name depends on
// its content, so new parameters replace the program.
func entryPoint(pl *PartitionDir, e *software.EntryPoint) error {
	parameters := map[string]string{}
	if all, ok := decodeParameters(pl.Parameters).(map[string]any); ok {
		for name, value := range encodeValues(all) {
			parameters[name], _ = value.(string)
		}
	}
	const dir, most = "etc/service", 1000
	script := e.Script(pl.Release, pl.Home, parameters)
	sum := sha256.Sum256(script)
	name := "entrypoint-" + hex.EncodeToString(sum[:4])
	if err := pl.Dir.MakeDir(dir, 0o750); err != nil {
		return err
	}
	if err := pl.Dir.Write(dir+"/"+name, script, 0o700); err != nil {
		return err
	}
	there, err := pl.Dir.List(dir, most)
	if err != nil {
		return err
	}
	for _, other := range there {
		if other != name && strings.HasPrefix(other, "entrypoint-") {
			if err := pl.Dir.Remove(dir + "/" + other); err != nil {
				return err
			}
		}
	}
	return nil
}

// round runs the program once, and sends its answers to the master. again: its input about its
// children is outdated.
func (t *task) round(ctx context.Context, m *lightState) (again bool, err error) {
	in, err := json.Marshal(inputOf(t.PartitionDir, m.Children))
	if err != nil {
		return false, err
	}
	said := &limited{most: maxOutput}
	if err := t.run(ctx, []string{filepath.Join(t.Release, "instance")}, append(in, '\n'), said); err != nil {
		return false, err
	}
	out, err := said.read()
	if err != nil {
		return false, &compute.Error{
			Op: "node", ID: compute.ID(t.ID), Kind: compute.ErrFailed, Err: err,
			Hint: "it is nothing, or a JSON object with connection, shared and request",
		}
	}
	ask, end, err := t.a.asker(t.ID)
	if err != nil {
		return false, err
	}
	defer end()
	children, err := t.request(ctx, ask, m, out.Request)
	if err != nil {
		return false, err
	}
	if err := t.publish(ctx, ask, m, out); err != nil {
		return false, err
	}
	again = !reflect.DeepEqual(children, m.Children)
	m.Children, m.Unsettled = children, again
	for _, c := range children {
		m.Unsettled = m.Unsettled || len(c.Connection) == 0 && c.State != proto.Stopped
	}
	return again, t.a.saveLightState(t.ID, *m)
}

func (a *Agent) asker(id string) (Asker, func(), error) {
	if a.Ask == nil {
		return a.Master, func() {}, nil
	}
	return a.Ask(id)
}

// read takes what a program said.
func (l *limited) read() (out lightOutput, err error) {
	switch {
	case l.over:
		return out, fmt.Errorf("it says more than %d bytes", l.most)
	case len(l.text) == 0:
		return out, nil
	}
	if err := json.Unmarshal(l.text, &out); err != nil {
		return out, fmt.Errorf("what it says is not understood: %w", err)
	}
	if len(out.Request) > maxRequests {
		return out, fmt.Errorf("it asks for more than %d instances", maxRequests)
	}
	known := map[string]bool{}
	for _, w := range out.Request {
		switch {
		case w.Title == "" || w.Release == "":
			return out, errors.New("what it asks for lacks a title or a software_release")
		case known[w.Title]:
			return out, fmt.Errorf("it asks for %q twice", w.Title)
		case w.State != "" && w.State != proto.Started && w.State != proto.Stopped && w.State != proto.Destroyed:
			return out, fmt.Errorf("it asks for %q to be %q, which is no state", w.Title, w.State)
		}
		known[w.Title] = true
	}
	return out, nil
}

// request sends the program's requests to the master, and ends earlier ones that it does not
// repeat.
func (t *task) request(ctx context.Context, ask Asker, m *lightState, wishes []lightRequest) (map[string]child, error) {
	before := m.Wishes
	all := slices.Clone(wishes)
	for _, w := range before {
		if !slices.ContainsFunc(wishes, func(n lightRequest) bool { return n.Title == w.Title && n.Shared == w.Shared }) {
			w.State = proto.Destroyed
			all = append(all, w)
		}
	}
	m.Wishes = all // also those that are to go, until the master has heard it
	if err := t.a.saveLightState(t.ID, *m); err != nil {
		return nil, err
	}
	children, titles := map[string]child{}, []byte{}
	for i, w := range all {
		n, err := ask.Request(ctx, t.requestOf(w))
		gone := i >= len(wishes)
		switch {
		case gone && errors.Is(err, client.ErrNotFound), err == nil, errors.Is(err, client.ErrNotReady):
		default:
			return nil, fmt.Errorf("the request for %q: %w", w.Title, err)
		}
		if gone {
			continue
		}
		c := child{Connection: map[string]any{}}
		if err == nil {
			c.State = n.State
			maps.Copy(c.Connection, n.Connection)
		}
		children[w.Title] = c
		titles = append(titles, w.Title+"\n"...)
	}
	m.Wishes = wishes
	if len(titles) == 0 {
		return children, nil
	}
	return children, t.Dir.Write(asked(t.ID), titles, 0o644)
}

func (t *task) requestOf(w lightRequest) *proto.Request {
	q := &proto.Request{
		Computer: t.a.Computer, Partition: t.ID, Release: w.Release, Type: w.Type, Title: w.Title, State: w.State,
		Shared: w.Shared, Parameters: encodeValues(w.Parameters), Filter: encodeValues(w.SLA),
	}
	if q.State == "" {
		q.State = t.State
	}
	return q
}

// publish sends the connection parameters of an instance, and of those that it hosts, if they are
// new.
func (t *task) publish(ctx context.Context, ask Asker, m *lightState, out lightOutput) error {
	if out.Connection != nil {
		if c := encodeValues(out.Connection); !reflect.DeepEqual(c, encodeValues(t.Connection)) {
			if err := ask.SetConnection(ctx, t.a.Computer, t.ID, "", c); err != nil {
				return err
			}
			t.Connection = c
		}
	}
	// of those that it hosts now: one of the same reference may come later and know nothing
	shared := map[string]map[string]any{}
	for _, of := range t.Shared {
		c, ok := out.Shared[of.Reference]
		if ok {
			shared[of.Reference] = c
		}
		if was, known := m.Shared[of.Reference]; !ok || known && reflect.DeepEqual(was, c) {
			continue
		}
		if err := ask.SetConnection(ctx, t.a.Computer, t.ID, of.Reference, encodeValues(c)); err != nil {
			return err
		}
	}
	m.Shared = shared
	return nil
}

// forget asks for nothing any more in the name of an instance that is destroyed.
func (t *task) forget(ctx context.Context) error {
	m := t.a.lightState(t.ID)
	if len(m.Wishes) > 0 {
		ask, end, err := t.a.asker(t.ID)
		if err != nil {
			return err
		}
		defer end()
		if _, err := t.request(ctx, ask, &m, nil); err != nil {
			return err
		}
	}
	if err := os.Remove(t.a.lightStateFile(t.ID)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// inputOf is what a program is told.
func inputOf(pl *PartitionDir, children map[string]child) lightInput {
	in := lightInput{Title: pl.Title, RootTitle: pl.RootTitle, State: pl.State, Type: pl.Type,
		Parameters: decodeParameters(pl.Parameters), Addresses: []lightAddress{}, Shared: []lightShared{},
		Release: pl.Release, Partition: pl.Home, Children: children}
	for _, at := range pl.Addresses {
		in.Addresses = append(in.Addresses, lightAddress{at.Interface, at.IP})
	}
	for _, of := range pl.Shared {
		in.Shared = append(in.Shared, lightShared{of.Title, of.Reference, of.Type, decodeParameters(of.Parameters)})
	}
	return in
}

// decodeParameters are the parameters in the form the requester meant: if they came as one JSON
// text, its value.
func decodeParameters(d proto.Dictionary) any {
	if text, ok := d["_"].(string); ok && len(d) == 1 {
		var v any
		if json.Unmarshal([]byte(text), &v) == nil {
			return v
		}
	}
	if d == nil {
		return map[string]any{}
	}
	return map[string]any(d)
}

// encodeValues are values in the form of a master: texts, and other values as JSON.
func encodeValues(values map[string]any) proto.Dictionary {
	d := proto.Dictionary{}
	for k, v := range values {
		text, ok := v.(string)
		if !ok {
			b, err := json.Marshal(v)
			if err != nil {
				continue
			}
			text = string(b)
		}
		d[k] = text
	}
	return d
}
