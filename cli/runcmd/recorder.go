package runcmd

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/cli/leasecmd"
	"github.com/hostler-project/hostler/provider/local"
	"github.com/hostler-project/hostler/run/detachedruns"
)

// recorderNews goes to a recorder's standard input, where no other process sees it.
type recorderNews struct {
	Hide []string `json:"hide"` // values to leave out of the record
}

// NewRecorder returns the process that stays with a run that outlives its client. It records the
// run's output and end, and keeps its lease in use. At the end it releases the lease if that was
// acquired for the run. If it is killed, the next command about the run starts it again.
func NewRecorder(a *cli.App) *cobra.Command {
	return &cobra.Command{
		Use: "recorder RUN", Short: "Record a run that goes on without its client", Example: "  hostler recorder last",
		Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			var news recorderNews
			known := json.NewDecoder(io.LimitReader(a.In, 16<<20)).Decode(&news) == nil
			log, err := runs()
			if err != nil {
				return err
			}
			ctx, stop := a.UntilSignal(cmd.Context())
			defer stop()
			return detachedruns.Record(ctx, &leasecmd.Backend{App: a}, detachedruns.RecordOptions{
				Log: log, Run: args[0], Hide: news.Hide, Known: known, Printer: &a.Terminal,
			})
		},
	}
}

// startRecorder starts a recorder. known says that hide has every value to leave out.
func startRecorder(a *cli.App, run string, hide []string, known bool) error {
	words, err := cli.OwnCommand(a)
	if err != nil {
		return err
	}
	cmd := exec.Command(words[0], slices.Concat(words[1:], []string{"recorder", run})...)
	// the recorder is part of no run
	cmd.Env = slices.DeleteFunc(local.Unmarked(os.Environ()), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return name == "HOSTLER_LEASE" || name == "HOSTLER_INSTANCE" || name == "HOSTLER_RUN"
	})
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var in io.WriteCloser
	if known {
		r, w, err := os.Pipe()
		if err != nil {
			return err
		}
		defer r.Close()
		cmd.Stdin, in = r, w
	}
	if err = cmd.Start(); err == nil {
		_ = cmd.Process.Release()
	}
	if in != nil {
		err = errors.Join(err, json.NewEncoder(in).Encode(recorderNews{Hide: hide}), in.Close())
	}
	return err
}
