package fake

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/provider"
)

// Options are the keys of a source of type fake. The zero value is an inventory in memory that has
// no limit and never fails.
type Options struct {
	// how long a computer boots after it was made; until then Connect returns ErrNotReady
	Boot time.Duration `conf:"boot"`
	// how long Create takes; the computer exists from the beginning
	CreateTime time.Duration `conf:"create-time"`
	// how long a computer is still listed after Destroy
	DestroyTime time.Duration `conf:"destroy-time"`
	CleanTime   time.Duration `conf:"clean-time"` // how long Clean takes
	// how often Create fails: 0 to 1, or always; "": never
	FailCreate  string `conf:"fail-create"`
	FailDestroy string `conf:"fail-destroy"` // the same for Destroy
	FailConnect string `conf:"fail-connect"` // for Connect
	FailClean   string `conf:"fail-clean"`   // for Clean
	// the number of computers at which Create returns ErrNoCapacity; 0: no limit
	Capacity int `conf:"capacity"`
	// what a command prints, without the newline; "": foo
	Reply string `conf:"reply"`
	// "exec": commands run on this machine. "home": they do, and each computer has a home directory
	// here. "" or "reply": commands only get the reply.
	Exec string `conf:"run"`
	// memory or disk; "": disk if there is a Dir and no Cloud
	State string `conf:"state"`
	// the size of each computer; 0: it does not tell
	Cores     float64  `conf:"cores"`
	Memory    int64    `conf:"memory,size"` // bytes
	Disk      int64    `conf:"disk,size"`   // bytes
	GPUs      int      `conf:"gpus"`
	Images    []string `conf:"images"`    // the images that a request may choose; none: no choice
	Flavors   []string `conf:"flavors"`   // the same
	Locations []string `conf:"locations"` // the same
	// the most user data, in bytes; 0: none
	UserData int `conf:"user-data"`
	Seed     int `conf:"seed"` // for the random failures; 0: a new seed each time

	Source       string // the source's name
	Installation string // the installation's id; computers of others are not seen
	Dir          string // the directory of the computers, with state = disk
	Cloud        *Cloud // the inventory in memory; nil: a new one

	// Fail is asked before "create", "destroy", "list", "connect", "clean", "stop", "start" and
	// "run". After the effect it is asked as "create-answer", "destroy-answer" and "clean-answer".
	// The operation returns its error. Many goroutines may call it at once. nil: nothing fails.
	Fail func(op string, id compute.ID) error
}

// Check says what is wrong with the keys by themselves. It opens nothing. Its errors are
// provider.KeyErrors.
func (o Options) Check() error {
	if _, err := o.rates(); err != nil {
		return err
	}
	for _, of := range []struct {
		key  string
		time time.Duration
	}{{"boot", o.Boot}, {"create-time", o.CreateTime}, {"destroy-time", o.DestroyTime}, {"clean-time", o.CleanTime}} {
		if of.time < 0 {
			return provider.WrongKey(of.key, "", "%s = %v: a time below 0", of.key, of.time)
		}
	}
	switch {
	case o.Capacity < 0:
		return provider.WrongKey("capacity", "", "capacity = %d: below 0", o.Capacity)
	case !slices.Contains([]string{"", "reply", "exec", "home"}, o.Exec):
		return provider.WrongKey("run", "", "run = %s: none of reply, exec and home", o.Exec)
	case !slices.Contains([]string{"", "memory", "disk"}, o.State):
		return provider.WrongKey("state", "", "state = %s: neither memory nor disk", o.State)
	}
	return nil
}

// rates are the parsed Fail keys, by operation.
type rates map[string]float64

// rates reads how often each operation fails, from 0 to 1. An operation that never fails is left
// out.
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
			return nil, provider.WrongKey("fail-"+k.op, "write a number from 0 to 1, or always", "fail-%s = %s: not a rate", k.op, k.text)
		}
		out[k.op] = f
	}
	return out, nil
}

// facts are what a computer tells about itself.
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
