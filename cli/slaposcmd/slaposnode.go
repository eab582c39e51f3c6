package slaposcmd

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// Exit statuses of the commands of a node.
const (
	SlaposNotRunning = 3  // some program does not run; the master was not reached
	SlaposBusy       = 10 // another pass of the kind runs
)

// The passes of a node, by what is in the names of their pid files.
const (
	passSoftware = "sr"
	passInstance = "cp"
	passReport   = "ur"
	passPromise  = "promise" // its pid file is that of instances
	passAll      = "all"     // those of software, instances and reports, for good
	passLook     = "look"    // a command that only looks, and asks the master
	// a command that is no pass: it waits for nobody and asks no master by itself
	passNone = ""
)

// NodeCommand is a command of a node: what its file says, and the options in whose favour the file
// gives way.
type NodeCommand struct {
	*Slapos
	of   string // the pass
	File *cfg.File
	Path string    // of the file, absolute
	Node *cfg.Node // the settings, with the options in them
	log  *slog.Logger

	Socket       string // of the supervisor
	signatureKey string // what is sent to a binary cache is signed with it; "": what the file says
	now          bool
	// sends a release beside all else; nil: it is sent at once
	later func(url string, send func(ctx context.Context) error)
	// those of this command line that a supervisor is to have too
	options []string
}

// newNodeCommand gives a command what the commands of a node have in common: their options, and
// that f runs when what they want is so: the file is read, a pass is root's, alone, has waited as
// it is told to, and its n.client is the master's.
func (s *Slapos) newNodeCommand(
	cmd *cobra.Command, of string, f func(ctx context.Context, n *NodeCommand, args []string) error,
) *cobra.Command {
	n := &NodeCommand{Slapos: s, of: of}
	o := &nodeOptions{texts: map[string]*string{}, seconds: map[string]*float64{}}
	o.add(cmd, of != passNone && of != passLook)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return s.do(func(ctx context.Context, args []string) error {
			if f := cmd.Flags().Lookup(historyOption); f != nil && f.Value.String() == "true" {
				n.of = passNone // it only looks
			}
			if err := n.read(cmd, o); err != nil {
				return err
			}
			if n.of == passNone {
				return f(ctx, n, args)
			}
			end, err := n.begin(ctx)
			if err != nil {
				return err
			}
			defer end()
			return f(ctx, n, args)
		})(cmd, args)
	}
	return cmd
}

// nodeOptions are the values of the options.
type nodeOptions struct {
	texts   map[string]*string
	seconds map[string]*float64
	now     bool
}

// nodeTexts are options of paths and names, with what they say; those of every command of a node
// first.
var nodeTexts = []struct {
	name, usage string
	pass, dir   bool
}{
	{"instance-root", "instances are in `DIR`", false, true},
	{"supervisord-socket", "the supervisor listens at `PATH`; sv.sock in the instances' directory unless it is said", false, false},
	{"software-root", "software is in `DIR`", false, true},
	{"master-url", "the master is at `URL`", false, false},
	{"computer-id", "this computer is `ID`", false, false},
	{"key-file", "the key to its certificate is in `FILE`", false, false},
	{"cert-file", "its certificate is in `FILE`", false, false},
	{"master-ca-file", "who signs the master's certificate is in `FILE`", false, false},
	{"certificate-repository-path", "the partitions' certificates are in `DIR`", false, true},
	{"supervisord-configuration-path", "as SlapOS has it, and without a meaning here: `FILE`", true, false},
	{"buildout", "the program `FILE` bootstraps a release", true, false},
	{"pidfile", "who runs is written to `FILE`", true, false},
	{"signature-private-key-file", "what is sent to a binary cache is signed with the key in `FILE`", true, false},
}

var nodeSeconds = []struct{ name, usage string }{
	{"maximum-periodicity", "after `SECONDS` an instance is processed though nothing has changed; 0 each time, less than 0 never"},
	{"promise-timeout", "a promise may take `SECONDS`"},
	{"partition-timeout", "processing an instance may take `SECONDS`; 0 as long as it takes"},
	{"maximal-delay", "wait at random up to `SECONDS` before"},
}

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

// read reads the file, and puts the options in the place of what it says.
func (n *NodeCommand) read(cmd *cobra.Command, o *nodeOptions) (err error) {
	n.Path = cmp.Or(n.Slapos.file, os.Getenv("SLAPOS_CONFIGURATION"), slaposNodeFile)
	if n.Path, err = filepath.Abs(n.Path); err != nil {
		return err
	}
	if n.File, err = n.nodeFile("hostler slapos node register makes it; --cfg FILE names another"); err != nil {
		return err
	}
	if n.Node, err = n.File.Node(); err != nil {
		return fault.Invalid("", "%w", err)
	}
	for name, to := range map[string]*string{"instance-root": &n.Node.InstanceRoot,
		"software-root": &n.Node.SoftwareRoot, "master-url": &n.Node.Master, "computer-id": &n.Node.Computer,
		"key-file": &n.Node.KeyFile, "cert-file": &n.Node.CertFile, "master-ca-file": &n.Node.CAFile,
		"certificate-repository-path": &n.Node.Certificates, "supervisord-socket": &n.Socket,
		"buildout": &n.Node.Buildout, "signature-private-key-file": &n.signatureKey} {
		if !cmd.Flags().Changed(name) {
			continue
		}
		text := *o.texts[name]
		if name != "computer-id" && name != "master-url" && text != "" {
			if text, err = filepath.Abs(text); err != nil {
				return err
			}
		}
		*to = text
		n.options = append(n.options, "--"+name+"="+text)
	}
	if cmd.Flags().Changed("pidfile") {
		n.Node.PIDFile, n.Node.PIDSoftware, n.Node.PIDInstance, n.Node.PIDReport = *o.texts["pidfile"], "", "", ""
	}
	for name, to := range map[string]*time.Duration{
		"maximum-periodicity": &n.Node.Periodicity, "promise-timeout": &n.Node.PromiseTimeout,
		"partition-timeout": &n.Node.PartitionTimeout, "maximal-delay": &n.Node.MaxDelay,
	} {
		if !cmd.Flags().Changed(name) {
			continue
		}
		seconds := *o.seconds[name]
		if math.IsNaN(seconds) || math.Abs(seconds) > 1e9 || seconds < 0 && name != "maximum-periodicity" {
			return fault.Invalid("", "--%s %v: a number of seconds", name, seconds)
		}
		*to = time.Duration(seconds * float64(time.Second))
	}
	n.now = o.now
	if n.of == passNone && n.Node.InstanceRoot == "" {
		return fault.Invalid("", "the section [slapos] of %s lacks instance_root", n.Path)
	}
	n.Socket = cmp.Or(n.Socket, filepath.Join(n.Node.InstanceRoot, "sv.sock"))
	if n.Slapos.logFile == "" && n.of != passNone {
		n.Slapos.logFile = n.Node.LogFile
	}
	n.log = slog.New(slog.NewTextHandler(slaposLog{n.Slapos}, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
	return nil
}

// slaposLog has the lines of a logger in SlapOS's form.
type slaposLog struct{ s *Slapos }

func (l slaposLog) Write(text []byte) (int, error) {
	l.s.Note("%s", text[:max(len(text)-1, 0)])
	return len(text), nil
}

// begin sees to what a pass must have before it may do anything. end is to be called when it is
// over.
func (n *NodeCommand) begin(ctx context.Context) (end func(), err error) {
	if text := n.Node.Missing(); text != "" {
		return nil, fault.Invalid("", "%s: %s", n.Path, text)
	}
	if err := n.isNode(); err != nil {
		return nil, err
	}
	for key, path := range map[string]string{
		"key_file": n.Node.KeyFile, "cert_file": n.Node.CertFile, "master_ca_file": n.Node.CAFile,
		"certificate_repository_path": n.Node.Certificates, "signature_private_key_file": n.signatureKey,
	} {
		if path == "" {
			continue
		}
		if _, err := os.Stat(path); err != nil {
			return nil, fault.Invalid("", "%s: %w", key, err)
		}
	}
	if n.Node.RootCheck && os.Geteuid() != 0 {
		return nil, &compute.Error{
			Kind: compute.ErrDenied, Err: fmt.Errorf("this is for root: it makes files and processes of other users"),
			Hint: "root_check = false in [slapos] has everything be yours alone",
		}
	}
	if n.of == passLook {
		n.client, err = n.newClient()
		return func() {}, err
	}
	if n.Node.MaxDelay >= time.Second && !n.now && n.of != passAll {
		pause := time.Second + rand.N(n.Node.MaxDelay)
		n.Say("Sleeping for %d seconds...", int(pause.Seconds()))
		select {
		case <-time.After(min(pause, n.Node.MaxDelay)):
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	passes := []string{n.of}
	if n.of == passAll {
		passes = []string{passInstance, passSoftware, passReport}
	}
	var ends []func()
	end = func() {
		for _, f := range ends {
			f()
		}
	}
	files := map[string]bool{} // where one is named for all of them
	for _, of := range passes {
		file := n.pidFile(of)
		if files[file] {
			continue
		}
		files[file] = true
		one, err := n.alone(file)
		if err != nil {
			end()
			return nil, err
		}
		ends = append(ends, one)
	}
	if n.client, err = n.newClient(); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// newClient makes a client of the node's master.
func (n *NodeCommand) newClient() (*client.Client, error) {
	c, err := client.New(client.Options{
		URL: n.Node.Master, CertFile: n.Node.CertFile, KeyFile: n.Node.KeyFile, CAFile: n.Node.CAFile,
		Insecure: n.insecure,
	})
	if err != nil {
		return nil, fault.Invalid("", "%w", err)
	}
	return c, nil
}

// pidFile is where it is written who runs a pass.
func (n *NodeCommand) pidFile(of string) string {
	own := n.Node.PIDInstance
	switch of {
	case passSoftware:
		own = n.Node.PIDSoftware
	case passReport:
		own = n.Node.PIDReport
	case passPromise:
		of = passInstance
	}
	return cmp.Or(own, n.Node.PIDFile, "/opt/slapos/slapgrid-"+of+".pid")
}

// Supervisor is the node's, which is started where it does not run.
func (n *NodeCommand) Supervisor(ctx context.Context) (*supervise.Client, error) {
	c := supervise.NewClient(n.Socket)
	_, err := c.Groups(ctx)
	// who ends has not found out whether it runs
	if err == nil || n.Node.NoSupervisor || ctx.Err() != nil {
		return c, err
	}
	if err := n.startSupervisor(ctx); err != nil {
		return nil, err
	}
	_, err = c.Groups(ctx)
	return c, err
}
