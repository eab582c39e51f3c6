package configurecmd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/controller"
	"github.com/hostler-project/hostler/slapos/node/service"
	"github.com/hostler-project/hostler/slapos/node/supervise"
	slapclient "github.com/hostler-project/hostler/slapos/proto/client"
)

// runMaster has the node's supervisor run the master, and returns when the master answers.
func runMaster(ctx context.Context, n *service.Node, dir string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	sv, err := n.Supervisor(ctx)
	if err != nil {
		return err
	}
	defer sv.Close()
	groups, err := sv.Groups(ctx)
	if err != nil {
		return err
	}
	if !slices.Contains(groups, localGroup) {
		// Another server at this address would be taken for our master.
		host, err := n.File.Text("slapproxy", "host")
		if err != nil {
			return err
		}
		port, err := n.File.Text("slapproxy", "port")
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err != nil {
			return controller.CannotListen("--daemon-listen-ip and --daemon-listen-port", net.JoinHostPort(host, port), err)
		}
		_ = l.Close()
	}
	const log = "slapos-proxy.log"
	g := supervise.Group{Name: localGroup, Programs: []supervise.Program{{Name: "slapos-proxy",
		Command: []string{self, "slapos", "proxy", "start", "--cfg", n.Path}, Dir: dir,
		Env: []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}, Log: log, Keep: supervise.Again}}}
	if _, err := sv.Put(ctx, g); err != nil {
		return err
	}
	if err := sv.Start(ctx, localGroup+":*"); err != nil {
		return err
	}
	client, err := n.Master()
	if err != nil {
		return err
	}
	patience, tick := time.After(localPatience), time.NewTicker(20*time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := client.Computer(ctx, n.Settings.Computer); err == nil || !errors.Is(err, slapclient.ErrUnreachable) {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-patience:
			return &compute.Error{
				Op: "configure local", Kind: compute.ErrTimeout,
				Err:  fmt.Errorf("the master does not answer at %s", n.Settings.Master),
				Hint: "its log is " + filepath.Join(dir, log),
			}
		}
	}
}

const (
	localGroup    = "slapproxy"
	localPatience = 60 * time.Second // until the master answers on a busy machine
)
