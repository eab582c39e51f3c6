package fake

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/compute"
)

// Options of a source of type fake. The zero value is a place without limit that never fails, in
// memory.
type Options struct {
	// how long a computer boots after it was made; Connect says ErrNotReady
	Boot time.Duration `conf:"boot"`
	// how long Create takes; the computer is there from its beginning
	CreateTime time.Duration `conf:"create-time"`
	// how long a computer is still listed after Destroy was asked
	DestroyTime time.Duration `conf:"destroy-time"`
	CleanTime   time.Duration `conf:"clean-time"` // how long Clean takes
	// how often Create fails: 0 to 1, or always; "": never
	FailCreate  string `conf:"fail-create"`
	FailDestroy string `conf:"fail-destroy"` // the same of Destroy
	FailConnect string `conf:"fail-connect"` // of Connect
	FailClean   string `conf:"fail-clean"`   // of Clean
	// more computers than this are ErrNoCapacity; 0: no limit
	Capacity int `conf:"capacity"`
	// what a command prints, without the line's end; "": foo
	Reply string `conf:"reply"`
	// "exec": commands run on this machine; "home": each computer has a home directory there too;
	// "" or "reply": they are answered
	Exec string `conf:"run"`
	// memory or disk; "": disk if there is a Dir and no Cloud
	State string `conf:"state"`
	// that a computer has; 0: it does not tell, and so with these:
	Cores     float64  `conf:"cores"`
	Memory    int64    `conf:"memory,size"` // bytes
	Disk      int64    `conf:"disk,size"`   // bytes
	GPUs      int      `conf:"gpus"`
	Images    []string `conf:"images"`    // that a request may choose from; none: it may not
	Flavors   []string `conf:"flavors"`   // the same
	Locations []string `conf:"locations"` // the same
	// bytes of user data that a computer takes; 0: none
	UserData int `conf:"user-data"`
	Seed     int `conf:"seed"` // of the failures; 0: different each time

	Source       string // the source's name
	Installation string // the installation's id: others' computers are not seen
	Dir          string // where the computers are kept with state = disk
	Cloud        *Cloud // where they are kept in memory; nil: in one of its own

	// Fail, if not nil, is asked before "create", "destroy", "list", "connect", "clean", "stop",
	// "start" and "run", and after the effect as "create-answer", "destroy-answer", "clean-answer".
	// An error that it returns is the operation's. It may be called from many goroutines.
	Fail func(op string, id compute.ID) error
}

// Check says what is wrong with the keys, as far as they say it themselves: nothing is opened. Its
// errors are compute.KeyErrors.
func (o Options) Check() error {
	if _, err := o.rates(); err != nil {
		return err
	}
	for _, of := range []struct {
		key  string
		time time.Duration
	}{{"boot", o.Boot}, {"create-time", o.CreateTime}, {"destroy-time", o.DestroyTime}, {"clean-time", o.CleanTime}} {
		if of.time < 0 {
			return compute.WrongKey(of.key, "", "%s = %v: a time below 0", of.key, of.time)
		}
	}
	switch {
	case o.Capacity < 0:
		return compute.WrongKey("capacity", "", "capacity = %d: below 0", o.Capacity)
	case !slices.Contains([]string{"", "reply", "exec", "home"}, o.Exec):
		return compute.WrongKey("run", "", "run = %s: none of reply, exec and home", o.Exec)
	case !slices.Contains([]string{"", "memory", "disk"}, o.State):
		return compute.WrongKey("state", "", "state = %s: neither memory nor disk", o.State)
	}
	return nil
}

// rates are the parsed Fail keys, by operation.
type rates map[string]float64

func (o Options) rates() (rates, error) {
	out := rates{}
	for _, k := range []struct{ op, text string }{
		{"create", o.FailCreate}, {"destroy", o.FailDestroy}, {"connect", o.FailConnect}, {"clean", o.FailClean},
	} {
		switch k.text {
		case "", "never":
			continue
		case "always":
			out[k.op] = 1
			continue
		}
		f, err := strconv.ParseFloat(k.text, 64)
		if err != nil || !(f >= 0 && f <= 1) {
			return nil, compute.WrongKey("fail-"+k.op, "write a number from 0 to 1, or always", "fail-%s = %s: not a rate", k.op, k.text)
		}
		out[k.op] = f
	}
	return out, nil
}

// facts are what a computer tells of itself.
func (o Options) facts() map[string]string {
	out := map[string]string{"os": "fake"}
	if o.Cores > 0 {
		out["cores"] = strconv.FormatFloat(o.Cores, 'f', -1, 64)
	}
	for name, n := range map[string]int64{"memory": o.Memory, "disk": o.Disk, "gpus": int64(o.GPUs)} {
		if n > 0 {
			out[name] = strconv.FormatInt(n, 10)
		}
	}
	return out
}

func (o Options) dice() *rand.Rand {
	if o.Seed != 0 {
		return rand.New(rand.NewPCG(uint64(o.Seed), 0))
	}
	return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
}
