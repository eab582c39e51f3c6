package cloudcmd

import (
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/cli"
	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
)

// configFile splits LOCAL[:REMOTE]. ~/ is the home directory here, and on the server that of the
// user who logs in.
func (s *cloudSource) configFile(text string) (local, remote string, err error) {
	local, remote, ok := strings.Cut(text, ":")
	if !ok && strings.HasPrefix(local, "~/") {
		remote, ok = local, true
	}
	if rest, home := strings.CutPrefix(local, "~/"); home {
		h, err := os.UserHomeDir()
		if err != nil {
			return "", "", err
		}
		local = filepath.Join(h, rest)
	}
	if local, err = filepath.Abs(local); err != nil {
		return "", "", err
	}
	if !ok {
		remote = local
	}
	if rest, home := strings.CutPrefix(remote, "~/"); home {
		switch s.user {
		case "":
			return "", "", fault.Invalid("--username debian", "--config-files %s: whose home directory? --username says who logs in", text)
		case "root":
			remote = path.Join("/root", rest)
		default:
			remote = path.Join("/home", s.user, rest)
		}
	}
	if !filepath.IsAbs(remote) || strings.ContainsAny(remote, "\r\n[]") {
		return "", "", fault.Invalid("LOCAL:/where/it/goes", "--config-files %s: %q is no absolute path", text, remote)
	}
	if info, err := os.Stat(local); err != nil || !info.Mode().IsRegular() {
		return "", "", fault.Invalid("", "--config-files %s: %s is not a file that can be read", text, local)
	}
	return local, remote, nil
}

// userConfig returns the user's configuration directory, or that of --config.
func userConfig(a *cli.App) (string, error) {
	if a.Host.ConfigDir != "" {
		return filepath.Abs(a.Host.ConfigDir)
	}
	if d := os.Getenv("XDG_CONFIG_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "hostler"), nil
	}
	h, err := host.Home()
	if err != nil {
		return "", err
	}
	return filepath.Join(h, ".config", "hostler"), nil
}
