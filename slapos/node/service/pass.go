package service

import (
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/cfg"
)

// A Pass is a kind of work of a node, as in the names of pid files.
type Pass string

// The passes of a node.
const (
	SoftwarePass Pass = "sr"
	InstancePass Pass = "cp"
	ReportPass   Pass = "ur"
	PromisePass  Pass = "promise" // it has the pid file of instances
	AllPasses    Pass = "all"     // software, instances and reports, again and again
	ReadOnly     Pass = "look"    // only asks the master
	NoPass       Pass = ""        // waits for no other, and asks no master
)

// BusyError says that another living process makes the same pass.
type BusyError struct {
	File string // has its number
	PID  int
}

func (e *BusyError) Error() string {
	return fmt.Sprintf("A process of this kind runs already: %s of process %d", e.File, e.PID)
}

// Begin prepares a pass: it checks the settings, waits a random time unless now, and excludes other
// processes until end is called.
func (n *Node) Begin(ctx context.Context, pass Pass, now bool) (end func(), err error) {
	if err := n.check(); err != nil {
		return nil, err
	}
	if pass == ReadOnly {
		return func() {}, n.connect()
	}
	if n.Settings.MaxDelay >= time.Second && !now && pass != AllPasses {
		if err := n.pause(ctx, min(time.Second+rand.N(n.Settings.MaxDelay), n.Settings.MaxDelay)); err != nil {
			return nil, err
		}
	}
	if end, err = n.exclude(pass); err != nil {
		return nil, err
	}
	if err := n.connect(); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// check returns an error if the settings allow no pass.
func (n *Node) check() error {
	if text := n.Settings.Missing(); text != "" {
		return fault.Invalid("", "%s: %s", n.Path, text)
	}
	if err := CheckPlatform(); err != nil {
		return err
	}
	for key, path := range map[string]string{
		"key_file": n.Settings.KeyFile, "cert_file": n.Settings.CertFile, "master_ca_file": n.Settings.CAFile,
		"certificate_repository_path": n.Settings.Certificates, "signature_private_key_file": n.SignatureKey,
	} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return fault.Invalid("", "%s: %w", key, err)
		}
	}
	return n.checkRoot("it makes files and processes of other users", " has everything be yours alone")
}

// checkRoot returns an error if only root may do something, for a reason, and this is not root.
func (n *Node) checkRoot(reason, otherwise string) error {
	if !n.Settings.RootCheck || os.Geteuid() == 0 {
		return nil
	}
	return &compute.Error{
		Kind: compute.ErrDenied, Err: fmt.Errorf("this is for root: %s", reason),
		Hint: "root_check = false in [slapos]" + otherwise,
	}
}

// pause waits before a pass, so that the machines of a fleet do not all begin at once.
func (n *Node) pause(ctx context.Context, long time.Duration) error {
	n.Log.Say("Sleeping for %d seconds...", int(long.Seconds()))
	select {
	case <-time.After(long):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// exclude holds the pid files of a pass until end is called.
func (n *Node) exclude(pass Pass) (end func(), err error) {
	passes := []Pass{pass}
	if pass == AllPasses {
		passes = []Pass{InstancePass, SoftwarePass, ReportPass}
	}
	var ends []func()
	end = func() {
		for _, f := range ends {
			f()
		}
	}
	held := map[string]bool{} // several passes may have the same file
	for _, pass := range passes {
		file := pidFile(n.Settings, pass)
		if held[file] {
			continue
		}
		held[file] = true
		release, err := holdPIDFile(file)
		if err != nil {
			end()
			return nil, err
		}
		ends = append(ends, release)
	}
	return end, nil
}

// pidFile returns the file with the process of a pass.
func pidFile(set *cfg.NodeConfig, pass Pass) string {
	own := set.PIDInstance
	switch pass {
	case SoftwarePass:
		own = set.PIDSoftware
	case ReportPass:
		own = set.PIDReport
	case PromisePass:
		pass = InstancePass
	}
	return cmp.Or(own, set.PIDFile, "/opt/slapos/slapgrid-"+string(pass)+".pid")
}
