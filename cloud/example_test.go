package cloud_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/hostler-project/hostler/cloud"
	"github.com/hostler-project/hostler/provider/openstack"
	"github.com/hostler-project/hostler/store/sqlite"
)

// work is a session on a cloud: what servers need is deployed, the cheapest server that fits is
// spawned, set up, used, and left to itself until it is gone for being idle.
func work(ctx context.Context, c *cloud.Cloud, deploy cloud.DeployConfig, order cloud.Order, out io.Writer) error {
	if _, err := c.Deploy(ctx, deploy); err != nil {
		return err
	}
	flavor, err := c.CheapestServerFlavor(ctx, 1, 512, "")
	if err != nil {
		return err
	}
	quota, err := c.GetQuota(ctx)
	if err != nil {
		return err
	}
	if n, why := quota.Spawnable(flavor, order.Disk, cloud.Resources{}, cloud.Unlimited); n == 0 {
		return fmt.Errorf("no server can be spawned: %s", why)
	}
	order.Flavor, order.TTD = flavor.ID, 2*time.Second
	server, err := c.Spawn(ctx, order)
	if err != nil {
		if c.ErrIsNoHardware(err) {
			fmt.Fprintln(out, "no hardware now: another flavor, or later")
		}
		return err
	}
	fmt.Fprintln(out, "spawned", flavor.Name, "at", server.IP)
	if err := server.WaitUntilReady(ctx, order.ConfigFiles, "#!/bin/sh\necho ready >~/state\n"); err != nil {
		return err
	}
	if server.Allocate(0.5, 100, 0) {
		stdout, _, err := server.RunCmd(ctx, "cat ~/state; hostname", false)
		if err != nil {
			return err
		}
		fmt.Fprint(out, stdout)
		server.Release(0.5, 100, 0) // nobody uses it any more: after 2 seconds it is destroyed
	}
	for limit := time.Now().Add(3 * time.Minute); ; time.Sleep(time.Second) {
		servers, err := c.Servers(ctx)
		if err != nil {
			return err
		}
		if servers[server.Name] == nil && server.Destroyed() {
			fmt.Fprintln(out, "idle and gone")
			return nil
		}
		if time.Now().After(limit) {
			return fmt.Errorf("%s is idle, and still there", server.Name)
		}
	}
}

// A session with an OpenStack whose credentials are found as OpenStack's own client finds them.
func Example() {
	ctx := context.Background()
	dir, err := os.UserConfigDir()
	if err != nil {
		log.Fatal(err)
	}
	dir = filepath.Join(dir, "my-program")
	store, err := sqlite.Open(ctx, filepath.Join(dir, "state.db"), sqlite.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	c, err := cloud.New(
		ctx,
		cloud.Options{
			Resource: "my-program-" + os.Getenv("USER"), Store: store, Dir: filepath.Join(dir, "keys"),
			Open: cloud.OpenStack(openstack.Options{}),
		},
	)
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	if err := work(
		ctx, c, cloud.DeployConfig{RequiredPorts: []int{22}}, cloud.Order{OS: "debian-12", User: "debian"}, os.Stdout,
	); err != nil {
		log.Print(err)
	}
	if _, err := c.TearDown(ctx, false); err != nil {
		log.Print(err)
	}
}
