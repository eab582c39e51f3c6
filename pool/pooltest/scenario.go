package pooltest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/director/plan"
	"github.com/hostler-project/hostler/pool"
)

// Scenario says what there is in a simulated world, and what its users do there. What it leaves
// open falls by its seed: who goes on, what fails, who dies. So a scenario that was written by one
// version does the same in another one, as far as that lets it.
type Scenario struct {
	Format int    `json:"scenario"` // 1
	Seed   uint64 `json:"seed"`
	// Dice is the state of the dice for all but the scheduler; empty: as the seed begins. A
	// scenario without sources and users is drawn by the seed.
	Dice []byte `json:"dice,omitempty"`

	Weather   Weather  `json:"weather"`
	Processes int      `json:"processes"`
	Red       Project  `json:"red,omitzero"`   // the one project that is limited
	Lost      string   `json:"lost,omitempty"` // the source that is not configured in the end
	Sources   []Source `json:"sources"`
	Users     []User   `json:"users"`
}

// Project is what a project may have; 0: no limit.
type Project struct {
	Weight float64 `json:"weight,omitempty"`
	Quota  int     `json:"quota,omitempty"`
	Users  int     `json:"users,omitempty"` // each of its users
}

// Weather is how often what goes wrong, as chances from 0 to 1.
type Weather struct {
	Crashes float64  `json:"crashes,omitempty"` // a process dies, at each turn
	Twice   float64  `json:"twice,omitempty"`   // a transaction runs twice
	Slow    float64  `json:"slow,omitempty"`    // a call takes time
	Sick    float64  `json:"sick,omitempty"`    // a transaction fails
	Greedy  Duration `json:"greedy,omitempty"`  // until when there is no room for larger instances
	Later   bool     `json:"later,omitempty"`   // a release leaves the work to others
	Stocks  bool     `json:"stocks,omitempty"`  // the providers' lists are compared
}

// Source is a source of a scenario.
type Source struct {
	Name        string   `json:"name"`
	Children    []string `json:"children,omitempty"` // of a pool
	Reserve     int      `json:"reserve,omitempty"`
	Spare       int      `json:"spare,omitempty"`
	Maximum     int      `json:"maximum,omitempty"`
	Cold        int      `json:"cold,omitempty"`
	Concurrency int      `json:"concurrency,omitempty"`
	MaxUses     int      `json:"max_uses,omitempty"`
	Idle        Duration `json:"idle,omitempty"`
	MaxAge      Duration `json:"max_age,omitempty"`
	TTL         Duration `json:"ttl,omitempty"`
	MaxTTL      Duration `json:"max_ttl,omitempty"`
	LeaseIdle   Duration `json:"lease_idle,omitempty"`
	Hooks       []string `json:"hooks,omitempty"`
	Reuse       string   `json:"reuse,omitempty"`
	OnFailure   string   `json:"on_failure,omitempty"`
	Cloud       *Cloud   `json:"cloud,omitempty"` // nil: a pool has none
}

// Cloud is the place of a source, and its weather.
type Cloud struct {
	Names   []string           `json:"names,omitempty"` // of machines that stay
	AsIs    bool               `json:"as_is,omitempty"` // the provider's default
	Cleans  bool               `json:"cleans,omitempty"`
	Checks  bool               `json:"checks,omitempty"`
	Boot    Duration           `json:"boot,omitempty"`
	Goes    Duration           `json:"goes,omitempty"`
	Fails   map[string]float64 `json:"fails,omitempty"`   // by operation; create-answer: it is lost
	Outage  [2]Duration        `json:"outage,omitzero"`   // when every create fails
	Foreign bool               `json:"foreign,omitempty"` // somebody else's computer stands there
}

// User does one thing after the other, through one process of a slot after the other.
type User struct {
	Name    string `json:"name"`
	Process int    `json:"process"`
	Does    []*Op  `json:"does"`
}

// Op is something that a user does. Do says which of the other fields count.
type Op struct {
	// acquire, release, stranger, use, extend, hold, discard, fill, work, reload, status, test,
	// run, direct, sleep
	Do        string       `json:"do"`
	Within    Duration     `json:"within,omitempty"` // it is given up then; 0: never
	Source    string       `json:"source,omitempty"`
	Instance  compute.ID   `json:"instance,omitempty"`
	Names     []compute.ID `json:"names,omitempty"`
	Count     int          `json:"count,omitempty"`
	For       Duration     `json:"for,omitempty"`
	Force     bool         `json:"force,omitempty"`
	Discard   bool         `json:"discard,omitempty"`
	ByLease   bool         `json:"by_lease,omitempty"`
	Tend      bool         `json:"tend,omitempty"`
	Request   *Request     `json:"request,omitempty"`
	Directive *Directive   `json:"directive,omitempty"`
	Runs      []Pause      `json:"runs,omitempty"`
}

// Directive is what a user has done as a director would.
type Directive struct {
	Verb     plan.Verb  `json:"do"`
	Source   string     `json:"source"`
	Instance compute.ID `json:"instance,omitempty"` // of start, stop and discard
	Count    int        `json:"count,omitempty"`    // of create
	Total    int        `json:"total,omitempty"`    // of create
	Reserve  int        `json:"reserve,omitempty"`  // of aim; it holds for the op's time
	Spare    int        `json:"spare,omitempty"`    // of aim
}

// Request is what a user asks for.
type Request struct {
	Source     string   `json:"source"`
	Count      int      `json:"count"`
	Project    string   `json:"project,omitempty"`
	Name       string   `json:"name,omitempty"`
	Priority   int      `json:"priority,omitempty"`
	Memory     int64    `json:"memory,omitempty"`
	GPUs       int      `json:"gpus,omitempty"`
	Wait       Duration `json:"wait,omitempty"`
	TTL        Duration `json:"ttl,omitempty"`
	Idle       Duration `json:"idle,omitempty"`
	CachedOnly bool     `json:"cached_only,omitempty"`
	For        string   `json:"for,omitempty"` // "dead": a process that died, "self": this one
}

// Pause is whether a run takes time, and how much.
type Pause struct {
	Does bool     `json:"does,omitempty"`
	For  Duration `json:"for,omitempty"`
}

// Duration is written as Go writes durations.
type Duration time.Duration

func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(string(text))
	*d = Duration(v)
	return err
}

// Seed returns the scenario that a seed draws.
func Seed(n uint64) Scenario { return Scenario{Format: 1, Seed: n} }

// Read reads a scenario.
func Read(r io.Reader) (s Scenario, err error) {
	d := json.NewDecoder(r)
	d.DisallowUnknownFields()
	if err := d.Decode(&s); err != nil {
		return s, fmt.Errorf("it is no scenario: %w", err)
	}
	if s.Format != 1 {
		return s, fmt.Errorf("a scenario of format %d is not known", s.Format)
	}
	return s, s.check()
}

// check says what is wrong with a scenario.
func (s *Scenario) check() error {
	known := map[string]bool{}
	for _, of := range s.Sources {
		for _, c := range of.Children {
			if !known[c] {
				return fmt.Errorf("source %s draws from %s, which does not stand before it", of.Name, c)
			}
		}
		if (of.Cloud == nil) != (len(of.Children) > 0) {
			return fmt.Errorf("source %s needs a cloud or children, and not both", of.Name)
		}
		known[of.Name] = true
	}
	for _, u := range s.Users {
		if u.Process < 0 || u.Process >= s.Processes {
			return fmt.Errorf("user %s has process %d of %d", u.Name, u.Process, s.Processes)
		}
		for _, op := range u.Does {
			if op == nil || op.Do == "" {
				return fmt.Errorf("user %s does nothing at a place", u.Name)
			}
			for _, name := range []string{op.Source, requested(op)} {
				if name != "" && !known[name] {
					return fmt.Errorf("user %s names source %s, and there is none", u.Name, name)
				}
			}
			if op.Do == "run" && op.Count != len(op.Runs) {
				return fmt.Errorf("user %s runs %d times, and says %d", u.Name, len(op.Runs), op.Count)
			}
		}
	}
	if len(s.Users) > 0 && len(s.Sources) == 0 {
		return errors.New("there are users, and no source")
	}
	return nil
}

func requested(op *Op) string {
	if op.Request == nil {
		return ""
	}
	return op.Request.Source
}

// Write writes a scenario.
func (s *Scenario) Write(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", " ")
	return e.Encode(s)
}

// choose returns what a scenario says at a place, or draws it and notes it there.
func choose[T any](u *user, at *T, draw func(*rand.Rand) T) T {
	if u.dice != nil {
		*at = draw(u.dice)
	}
	return *at
}

// drawer draws a scenario.
type drawer struct{ *rand.Rand }

// draw draws what there is.
func (d drawer) draw(s *Scenario) {
	s.Weather.Crashes = pick(d.Rand, 0, 0.002, 0.01, 0.03)
	s.Weather.Twice, s.Weather.Slow = pick(d.Rand, 0, 0.1), pick(d.Rand, 0, 0.05, 0.3)
	s.Weather.Sick = pick(d.Rand, 0, 0, 0, 0.01)
	s.Weather.Later, s.Weather.Stocks = d.IntN(3) == 0, d.IntN(3) == 0
	s.Red = Project{
		Weight: pick[float64](d.Rand, 0, 1, 3), Quota: pick(d.Rand, 0, 0, 0, 2, 4), Users: pick(d.Rand, 0, 0, 0, 2),
	}
	if d.IntN(3) == 0 {
		s.Weather.Greedy = upTo(d.Rand, 2*time.Minute)
	}
	for n := range 1 + d.IntN(3) {
		s.Sources = append(s.Sources, d.leaf(fmt.Sprintf("l%d", n)))
	}
	for n := range d.IntN(3) {
		s.Sources = append(s.Sources, d.pool(fmt.Sprintf("p%d", n), s.Sources))
	}
	if d.IntN(4) == 0 {
		s.Lost = pick(d.Rand, s.Sources...).Name
	}
	s.Processes = 1 + d.IntN(4)
}

func (d drawer) span(zero float64, to time.Duration) Duration {
	if d.Float64() < zero {
		return 0
	}
	return upTo(d.Rand, to)
}

func (d drawer) hooks() (out []string) {
	for _, e := range []string{"provision", "discard", "acquire", "release", "check"} {
		if d.IntN(6) == 0 {
			out = append(out, e)
		}
	}
	return out
}

// leaf draws a source that has a cloud.
func (d drawer) leaf(name string) (s Source) {
	c := &Cloud{Fails: map[string]float64{}}
	s.Name, s.Cloud = name, c
	s.Reserve, s.Spare, s.Maximum = pick(d.Rand, 0, 0, 1, 2), pick(d.Rand, 0, 0, 0, 1), pick(d.Rand, 0, 1, 2, 3, 4)
	s.Cold = pick(d.Rand, 0, 0, 1, 2)
	s.Idle, s.MaxAge = d.span(0.7, 20*time.Second), d.span(0.8, 60*time.Second)
	s.MaxUses, s.OnFailure = pick(d.Rand, 0, 0, 0, 1, 3), pick(d.Rand, "", "", "hold")
	s.TTL, s.MaxTTL, s.LeaseIdle = d.span(0.7, 30*time.Second), d.span(0.8, 60*time.Second), d.span(0.6, 20*time.Second)
	s.Hooks = d.hooks()
	c.Boot, c.Goes = d.span(0.5, 3*time.Second), d.span(0.5, 2*time.Second)
	s.Concurrency = pick(d.Rand, 0, 1, 2)
	switch d.IntN(6) {
	case 0:
		c.Names, c.AsIs, c.Cleans = []string{"a", "b", "c"}[:1+d.IntN(3)], true, d.IntN(2) == 0
		s.Reuse = pick(d.Rand, "", "as-is", "clean", "no")
	case 1:
	default:
		c.Cleans = true
		s.Reuse = pick(d.Rand, "", "", "", "as-is", "clean", "no")
	}
	c.Checks = d.IntN(2) == 0
	for _, op := range []string{
		"create", "create-answer", "destroy", "destroy-answer", "connect", "clean", "clean-answer", "check", "hook",
		"open", "stop", "start", "start-answer",
	} {
		if d.IntN(3) == 0 {
			c.Fails[op] = pick(d.Rand, 0.02, 0.1, 0.3)
		}
	}
	if d.IntN(4) == 0 {
		from := upTo(d.Rand, 30*time.Second)
		c.Outage = [2]Duration{from, from + upTo(d.Rand, 60*time.Second)}
	}
	c.Foreign = d.IntN(2) == 1
	return s
}

// pool draws a pool over some of the sources before it, earlier pools among them.
func (d drawer) pool(name string, before []Source) (s Source) {
	s.Name = name
	for _, c := range d.Perm(len(before))[:1+d.IntN(min(3, len(before)))] {
		s.Children = append(s.Children, before[c].Name)
	}
	s.Reserve, s.Spare, s.Maximum = pick(d.Rand, 0, 0, 1, 2), pick(d.Rand, 0, 0, 1), pick(d.Rand, 0, 0, 1, 3)
	s.Idle, s.LeaseIdle, s.MaxUses = d.span(0.7, 20*time.Second), d.span(0.6, 20*time.Second), pick(d.Rand, 0, 0, 0, 2)
	s.Hooks = d.hooks()
	return s
}

// engine is the source as an engine has it.
func (s Source) engine() pool.Source {
	out := pool.Source{
		Name: s.Name, Type: "fake", Digest: "d", Children: s.Children, Reserve: s.Reserve, Spare: s.Spare, Maximum: s.Maximum,
		Cold: s.Cold, Concurrency: s.Concurrency, MaxUses: s.MaxUses, Idle: time.Duration(s.Idle), MaxAge: time.Duration(s.MaxAge),
		TTL: time.Duration(s.TTL), MaxTTL: time.Duration(s.MaxTTL), LeaseIdle: time.Duration(s.LeaseIdle), Hooks: s.Hooks,
		Reuse: s.Reuse, OnFailure: s.OnFailure,
	}
	if s.Cloud == nil {
		out.Type = pool.Kind.Name
	}
	return out
}
