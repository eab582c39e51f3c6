package doctor

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hostler-project/hostler/api"
	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/host"
	"github.com/hostler-project/hostler/image"
	"github.com/hostler-project/hostler/provider/catalog"
)

// SSH checks the keys for ssh.
func SSH() compute.Finding {
	if open := openKeys(); len(open) > 0 {
		return Finding(
			"warn", "ssh", "others may read "+strings.Join(open, ", ")+": ssh refuses such a key",
			"chmod 600 "+strings.Join(open, " "),
		)
	}
	if os.Getenv("SSH_AUTH_SOCK") != "" {
		return Finding("ok", "ssh", "an agent is at hand; the program ssh is not needed", "")
	}
	home, err := host.Home()
	if err != nil {
		return Finding("warn", "ssh", "no agent, and no home directory with keys", "start an agent: eval $(ssh-agent)")
	}
	keys, _ := filepath.Glob(filepath.Join(home, ".ssh", "id_*"))
	if len(keys) == 0 {
		return Finding("warn", "ssh", "no agent and no keys: sources of type ssh will need an IdentityFile", "ssh-keygen")
	}
	return Finding("ok", "ssh", "no agent; keys in ~/.ssh", "")
}

// openKeys names the private keys in ~/.ssh that others may read.
func openKeys() (out []string) {
	home, err := host.Home()
	if err != nil {
		return nil
	}
	keys, _ := filepath.Glob(filepath.Join(home, ".ssh", "id_*"))
	for _, key := range keys {
		if info, err := os.Stat(key); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o077 != 0 &&
			!strings.HasSuffix(key, ".pub") {
			out = append(out, "~/.ssh/"+filepath.Base(key))
		}
	}
	return out
}

// Git checks whether run --sync can list a git work tree.
func Git(ctx context.Context) compute.Finding {
	ctx, cancel := context.WithTimeout(ctx, CheckTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", "version")
	cmd.WaitDelay = time.Second
	said, err := cmd.Output()
	if err != nil {
		return Finding(
			"warn", "git", "run --sync in a git work tree wants it: "+api.Text(err),
			"install git, or say --sync=dir to send all that is there",
		)
	}
	return Finding("ok", "git", strings.TrimSpace(string(said)), "")
}

// Engines tries all engines of this machine at once.
func Engines(ctx context.Context, kinds catalog.Table) []compute.Finding {
	ctx, cancel := context.WithTimeout(ctx, engineTime)
	defer cancel()
	examine := examiners(kinds)
	found := make([][]compute.Finding, len(examine))
	var all sync.WaitGroup
	for i, f := range examine {
		all.Go(func() { found[i] = f(ctx) })
	}
	all.Wait()
	return slices.Concat(found...)
}

// examiners returns functions that try the engines of this machine as this user.
func examiners(kinds catalog.Table) []func(context.Context) []compute.Finding {
	all := []func(context.Context) []compute.Finding{
		examineNetwork,
		func(ctx context.Context) []compute.Finding {
			dir, err := host.CacheDir()
			if err != nil {
				return nil // said elsewhere
			}
			return image.Examine(ctx, filepath.Join(dir, "images"))
		},
	}
	for _, k := range kinds {
		if k.Examine != nil {
			all = append(all, func(ctx context.Context) []compute.Finding { return k.Examine(ctx, host.UserSite()) })
		}
	}
	return all
}
