package service

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/slapos/node/format"
	"github.com/hostler-project/hostler/slapos/node/home"
	"github.com/hostler-project/hostler/slapos/proto/client"
)

// slaposVersion is the release of SlapOS that this node is compatible with.
const slaposVersion = "1.24.0"

// formatDelay bounds the random wait before a format.
const formatDelay = time.Hour

// FormatOptions override the file in a format. Its zero value overrides nothing.
type FormatOptions struct {
	State, JSON, In, Out string
	Users, Network       string // True, False, or "" for what the file says
	Now, Dry             bool
	Step                 func(step string) // takes each step; nil: the node's log does
}

// Format makes this machine a computer and tells the master. If only telling fails, the error is
// format.ErrNotPosted, and the computer is there.
func (n *Node) Format(ctx context.Context, o FormatOptions) (*format.Computer, error) {
	f, err := n.formatter(o)
	if err != nil {
		return nil, err
	}
	if o.Dry {
		return f.Run(ctx)
	}
	if !o.Now {
		if err := n.pause(ctx, rand.N(formatDelay)); err != nil {
			return nil, err
		}
	}
	return n.format(ctx, f)
}

// formatter returns a formatter by the options and the file. Options override the file.
func (n *Node) formatter(o FormatOptions) (*format.Formatter, error) {
	opt, err := format.ReadOptions(n.File)
	if err != nil {
		return nil, fault.Invalid("", "%w", err)
	}
	in, err := format.Input(n.File)
	if err != nil {
		return nil, fault.Invalid("", "%w", err)
	}
	opt.Computer, opt.InstanceRoot = n.Settings.Computer, n.Settings.InstanceRoot
	opt.SoftwareRoot, opt.Certificates = n.Settings.SoftwareRoot, n.Settings.Certificates
	for from, to := range map[*string]*string{&o.State: &opt.State, &o.JSON: &opt.JSON, &o.In: &in, &o.Out: &opt.DefinitionOut} {
		if *from == "" {
			continue
		}
		if *to, err = filepath.Abs(*from); err != nil {
			return nil, err
		}
	}
	for name, of := range map[string]struct {
		text string
		to   *bool
	}{"alter-user": {o.Users, &opt.AlterUser}, "alter-network": {o.Network, &opt.AlterNetwork}} {
		if of.text == "" {
			continue
		}
		if *of.to, err = format.ParseBool(of.text); err != nil {
			return nil, fault.Invalid("", "--%s %w", name, err)
		}
	}
	opt.Version, opt.Platform = slaposVersion+" (hostler "+n.Version+")", platform()
	if err := CheckPlatform(); err != nil {
		return nil, err
	}
	err = n.checkRoot("it makes users and interfaces", ", with alter_user and alter_network False, makes what you may")
	if err != nil {
		return nil, err
	}
	f := &format.Formatter{Options: *opt, Dry: o.Dry, Say: o.Step}
	if f.Say == nil {
		f.Say = n.say
	}
	if in != "" {
		if f.Definition, err = format.ReadDefinition(in); err != nil {
			return nil, fault.Invalid("", "%w", err)
		}
	}
	return f, f.Check()
}

// format formats alone and tells the master.
func (n *Node) format(ctx context.Context, f *format.Formatter) (*format.Computer, error) {
	end, err := holdPIDFile(f.State + ".pid")
	if err != nil {
		return nil, err
	}
	defer end()
	c, err := f.Run(ctx)
	if err != nil {
		return nil, err
	}
	n.Log.Say("%s has %d partitions.", c.Reference, len(c.Partitions))
	master, err := n.Master()
	if err == nil {
		err = master.Configure(ctx, c.Dictionary())
	}
	if err != nil {
		return c, fmt.Errorf("%w: %w", format.ErrNotPosted, err)
	}
	n.Log.Say("Posted to %s", n.Settings.Master)
	return c, nil
}

// Bang tells the master that something happened to this computer.
func (n *Node) Bang(ctx context.Context, message string) error {
	master, err := n.Master()
	if err != nil {
		return err
	}
	n.Log.Say("Banging to '%s'", n.Settings.Master)
	if err := master.Bang(ctx, n.Settings.Computer, "", message); err != nil {
		return err
	}
	n.Log.Say("Bang with message '%s'", message)
	return nil
}

// Boot formats, bangs, and has the next pass process every instance. It retries each, but errors
// that time cannot fix, such as a bad file, end it at once.
func (n *Node) Boot(ctx context.Context, message string) error {
	f, err := n.formatter(FormatOptions{})
	if err != nil {
		return err
	}
	master, err := n.Master()
	if err != nil {
		return err
	}
	var c *format.Computer
	b := &format.Boot{
		ReadyPause: 5 * time.Second, FormatPause: 15 * time.Second, Say: n.warn, Ready: f.Ready,
		Format: func(ctx context.Context) (err error) { c, err = n.format(ctx, f); return err },
		Answers: func(ctx context.Context) bool {
			_, err := master.Computer(ctx, n.Settings.Computer)
			return err == nil || !errors.Is(err, client.ErrUnreachable)
		},
		Bang:   func(ctx context.Context) error { return n.Bang(ctx, message) },
		Forget: func(context.Context) error { return forgetTimestamps(c) },
	}
	return b.Run(ctx)
}

// forgetTimestamps removes the marks of processed partitions.
func forgetTimestamps(c *format.Computer) error {
	var errs []error
	for i := range c.Partitions {
		d, err := home.Open(c.Partitions[i].Path)
		if err == nil {
			err = errors.Join(d.Remove(".timestamp"), d.Close())
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
