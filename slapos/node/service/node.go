package service

import (
	"cmp"
	"context"
	"path/filepath"

	"github.com/hostler-project/hostler/bundle"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// Log takes messages: Say progress, Warn something odd, and Note a detail.
type Log interface {
	Say(format string, args ...any)
	Warn(format string, args ...any)
	Note(format string, args ...any)
}

// A Node is a node by its settings. Close ends what it has opened.
type Node struct {
	Path     string // the absolute path of the file
	File     *cfg.File
	Settings *cfg.NodeConfig // the file's, with the options of a command line applied

	Socket       string   // of the supervisor; "": sv.sock in the instances' directory
	SignatureKey string   // signs what is sent to a binary cache; "": what the file says
	Insecure     bool     // any certificate of the master's is taken
	Options      []string // options of the command line that a supervisor needs too

	Version string // of this program
	Debug   bool   // promises are told so
	Bundles func() (bundle.Set, error)
	Log     Log

	master *client.Client // nil: not opened yet
}

// Master returns a client of the node's master.
func (n *Node) Master() (*client.Client, error) {
	if n.master != nil {
		return n.master, nil
	}
	if n.Settings.Master == "" || n.Settings.Computer == "" {
		return nil, fault.Invalid("", "the section [slapos] of %s lacks master_url or computer_id", n.Path)
	}
	err := n.connect()
	return n.master, err
}

// connect opens the client of the master.
func (n *Node) connect() (err error) {
	if n.master, err = n.newClient(n.Settings.CertFile, n.Settings.KeyFile); err != nil {
		return fault.Invalid("", "%w", err)
	}
	return nil
}

func (n *Node) newClient(certFile, keyFile string) (*client.Client, error) {
	return client.New(client.Options{
		URL: n.Settings.Master, CertFile: certFile, KeyFile: keyFile, CAFile: n.Settings.CAFile, Insecure: n.Insecure,
	})
}

// Close closes the connections to the master.
func (n *Node) Close() {
	if n.master != nil {
		n.master.Close()
	}
}

// Supervisor returns a client of the node's supervisor, and starts it if needed.
func (n *Node) Supervisor(ctx context.Context) (*supervise.Client, error) {
	c := supervise.NewClient(n.socket())
	_, err := c.Groups(ctx)
	// an ended context does not say whether it runs
	if err == nil || n.Settings.NoSupervisor || ctx.Err() != nil {
		return c, err
	}
	if err := n.StartSupervisor(ctx); err != nil {
		return nil, err
	}
	_, err = c.Groups(ctx)
	return c, err
}

func (n *Node) socket() string {
	return cmp.Or(n.Socket, filepath.Join(n.Settings.InstanceRoot, "sv.sock"))
}

// say and warn write whole lines.
func (n *Node) say(line string)  { n.Log.Say("%s", line) }
func (n *Node) warn(line string) { n.Log.Warn("%s", line) }
