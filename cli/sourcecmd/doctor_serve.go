package sourcecmd

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/term"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/host/doctor"
	"github.com/hostler-project/hostler/host/keeper"
	"github.com/hostler-project/hostler/host/socket"
	"github.com/hostler-project/hostler/host/version"
)

// checkController reports which controller commands use, and where it was found.
func checkController(a *cli.App, ctx context.Context) compute.Finding {
	if a.Flags.Embedded {
		return doctor.Finding("ok", "controller", "none is asked (--embedded)", "")
	}
	where := "by its address, " + cmp.Or(a.Flags.Controller, os.Getenv("HOSTLER_CONTROLLER"))
	if a.Flags.Controller == "" && os.Getenv("HOSTLER_CONTROLLER") != "" {
		where += " (HOSTLER_CONTROLLER)"
	}
	named := cmp.Or(a.Flags.Controller, os.Getenv("HOSTLER_CONTROLLER")) != ""
	ctx, cancel := context.WithTimeout(ctx, doctor.CheckTime)
	defer cancel()
	c, self, err := a.Controller(ctx)
	if c != nil {
		defer c.Close()
	}
	switch {
	case err != nil:
		hint := cmp.Or(compute.Hint(err), "--embedded works without it")
		return doctor.Finding("fail", "controller", where+": "+term.ErrorText(err), hint)
	case c == nil:
		return doctor.Finding("ok", "controller", "none runs here; each command works by itself", "hostler serve starts one")
	}
	if !named {
		dir := socket.MachineDir
		if own, err := host.RuntimeDir(); err == nil && !a.Machine {
			dir = own
		}
		where = "by its socket, " + filepath.Join(dir, socket.SocketName)
	}
	out := doctor.Finding(
		"ok", "controller",
		where+": version "+self.Version+", installation "+self.Installation+"; you are "+self.Name, "",
	)
	if self.Store != "" {
		out.Detail += "; its store is " + self.Store
	}
	if self.APIProcess != "" {
		out.Detail += "; its API process: " + self.APIProcess
	}
	fits, err := a.Fits(self)
	switch ours := version.Read().Version; {
	case err != nil:
		out.Result, out.Detail = "warn", out.Detail+"; "+term.ErrorText(err)
	case !fits:
		out.Detail += "; it has another configuration or state than is meant here, so commands work by themselves"
	case self.Version != ours:
		out.Result, out.Detail, out.Hint = "warn", out.Detail+"; this hostler is "+ours, "restart the older of the two when it suits"
	}
	if err := c.Ready(ctx); err != nil {
		out.Result, out.Detail, out.Hint = "fail", out.Detail+"; it is not ready: "+term.ErrorText(err),
			"its log says why; its state may be out of reach"
	}
	return out
}

// checkKeeper asks the keeper how it is. That none runs is no problem.
func checkKeeper(a *cli.App, ctx context.Context) compute.Finding {
	socket, err := cli.KeeperSocket()
	if err != nil {
		return doctor.Finding("warn", "keeper", term.ErrorText(err), compute.Hint(err))
	}
	ctx, cancel := context.WithTimeout(ctx, doctor.CheckTime)
	defer cancel()
	st, err := keeper.Ask(ctx, socket)
	switch {
	case errors.Is(err, keeper.ErrNone):
		return doctor.Finding("ok", "keeper", "not running; starts when it is needed, at "+socket, "")
	case err != nil:
		return doctor.Finding("warn", "keeper", term.ErrorText(err), compute.Hint(err))
	case st.Error != "":
		return doctor.Finding("warn", "keeper", "its last work: "+st.Error, "")
	}
	return doctor.Finding("ok", "keeper", fmt.Sprintf("process %d, %d connections", st.PID, len(st.Kept)), "")
}
