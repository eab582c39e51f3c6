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

// The exit statuses of a node's commands.
const (
	SlaposNotRunning = 3  // a program does not run, or the master was not reached
	SlaposBusy       = 10 // another pass of this kind runs
)

// The passes of a node, as in the names of their pid files.
const (
	passSoftware = "sr"
	passInstance = "cp"
	passReport   = "ur"
	passPromise  = "promise" // it has the pid file of instances
	passAll      = "all"     // software, instances and reports, again and again
	passLook     = "look"    // a command that only reads, and asks the master
	// a command that is no pass: it waits for no other, and asks no master
	passNone = ""
)

// NodeCommand is a command of a node, with the settings of the file. Options override the file.
type NodeCommand struct {
	*Slapos
	of   string // the pass
	File *cfg.File
	Path string          // the absolute path of the file
	Node *cfg.NodeConfig // the settings, with options applied
	log  *slog.Logger

	Socket       string // the supervisor's
	signatureKey string // what is sent to a binary cache is signed with it; "": what the file says
	now          bool
	// sends a release in the background; nil: send it at once
	later func(url string, send func(ctx context.Context) error)
	// options of this command line that a supervisor needs too
	options []string
}

// newNodeCommand gives a command a node's options. It runs f once the file is read and, for a pass,
// the process is root, is alone and has waited as told. n.client is then a client of the master.
func (s *Slapos) newNodeCommand(
	cmd *cobra.Command, of string, f func(ctx context.Context, n *NodeCommand, args []string) error,
) *cobra.Command {
	n := &NodeCommand{Slapos: s, of: of}
	o := &nodeOptions{texts: map[string]*string{}, seconds: map[string]*float64{}}
	o.add(cmd, of != passNone && of != passLook)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return s.do(func(ctx context.Context, args []string) error {
			if f := cmd.Flags().Lookup(historyOption); f != nil && f.Value.String() == "true" {
				n.of = passNone // it only reads
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

// nodeOptions has the values of the options.
type nodeOptions struct {
	texts   map[string]*string
	seconds map[string]*float64
	now     bool
}

// nodeTexts are the options with a path or a name, and their help; those of all commands come
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

// read reads the file and applies the options to it.
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

// slaposLog writes a logger's lines in SlapOS's form.
type slaposLog struct{ s *Slapos }

func (l slaposLog) Write(text []byte) (int, error) {
	l.s.Note("%s", text[:max(len(text)-1, 0)])
	return len(text), nil
}

// begin prepares a pass. The caller must call end when the pass is over.
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
	files := map[string]bool{} // one file for all of them
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

// newClient returns a client of the node's master.
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

// pidFile returns the file with the process of a pass.
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

// Supervisor returns the node's supervisor, and starts it if needed.
func (n *NodeCommand) Supervisor(ctx context.Context) (*supervise.Client, error) {
	c := supervise.NewClient(n.Socket)
	_, err := c.Groups(ctx)
	// an ended context does not say whether it runs
	if err == nil || n.Node.NoSupervisor || ctx.Err() != nil {
		return c, err
	}
	if err := n.startSupervisor(ctx); err != nil {
		return nil, err
	}
	_, err = c.Groups(ctx)
	return c, err
}
