package nodecmd

import (
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli/slaposcmd/session"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/node/service"
)

// nodeOptions has the values of the options.
type nodeOptions struct {
	texts   map[string]*string
	seconds map[string]*float64
	now     bool
}

var nodeSeconds = []struct{ name, usage string }{
	{"maximum-periodicity", "after `SECONDS` an instance is processed though nothing has changed; 0 each time, less than 0 never"},
	{"promise-timeout", "a promise may take `SECONDS`"},
	{"partition-timeout", "processing an instance may take `SECONDS`; 0 as long as it takes"},
	{"maximal-delay", "wait at random up to `SECONDS` before"},
}

// add declares the options of a node's command. pass adds those about a pass.
func (o *nodeOptions) add(cmd *cobra.Command, pass bool) {
	f := cmd.Flags()
	for _, t := range nodeTexts {
		if t.pass && !pass {
			continue
		}
		o.texts[t.name] = f.String(t.name, "", t.usage)
		if t.dir {
			_ = cmd.MarkFlagDirname(t.name)
		} else if t.name != "computer-id" && t.name != "master-url" {
			_ = cmd.MarkFlagFilename(t.name)
		}
	}
	if !pass {
		return
	}
	for _, t := range nodeSeconds {
		o.seconds[t.name] = f.Float64(t.name, 0, t.usage)
	}
	f.BoolVar(&o.now, "now", false, "do not wait before")
	_ = f.MarkHidden("supervisord-configuration-path")
}

// node reads the file of a node and applies the options to it.
func (o *nodeOptions) node(s *session.Session, cmd *cobra.Command, pass service.Pass) (*service.Node, error) {
	n, err := OpenNode(s)
	if err != nil {
		return nil, err
	}
	if err := o.applyTexts(cmd, n); err != nil {
		return nil, err
	}
	set := n.Settings
	if cmd.Flags().Changed("pidfile") {
		set.PIDFile, set.PIDSoftware, set.PIDInstance, set.PIDReport = *o.texts["pidfile"], "", "", ""
	}
	for name, to := range map[string]*time.Duration{
		"maximum-periodicity": &set.Periodicity, "promise-timeout": &set.PromiseTimeout,
		"partition-timeout": &set.PartitionTimeout, "maximal-delay": &set.MaxDelay,
	} {
		if !cmd.Flags().Changed(name) {
			continue
		}
		seconds := *o.seconds[name]
		if math.IsNaN(seconds) || math.Abs(seconds) > 1e9 || seconds < 0 && name != "maximum-periodicity" {
			return nil, fault.Invalid("", "--%s %v: a number of seconds", name, seconds)
		}
		*to = time.Duration(seconds * float64(time.Second))
	}
	if pass == service.NoPass && set.InstanceRoot == "" {
		return nil, fault.Invalid("", "the section [slapos] of %s lacks instance_root", n.Path)
	}
	if s.Log.File == "" && pass != service.NoPass {
		s.Log.File = set.LogFile
	}
	return n, nil
}
