package deploycmd

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/compute/fault"
	"github.com/hostler-project/hostler/host"
)

// ownKey returns the public half of the key of [deploy]. deploy-node took the user's first key if
// none was configured.
func (d *deploying) ownKey() ([]string, error) {
	file := d.settings.Key
	home, err := host.Home()
	if err != nil {
		return nil, err
	}
	if file == "" && d.opt.old {
		for _, name := range []string{"id_rsa.pub", "id_ed25519.pub"} {
			if _, err := os.Stat(filepath.Join(home, ".ssh", name)); err == nil {
				file = filepath.Join(home, ".ssh", name)
				break
			}
		}
	}
	if file == "" {
		return nil, nil
	}
	if rest, ok := strings.CutPrefix(file, "~/"); ok {
		file = filepath.Join(home, rest)
	}
	if !strings.HasSuffix(file, ".pub") {
		file += ".pub"
	}
	keys, err := keysOf(file)
	if err != nil {
		return nil, fault.Invalid("ssh-keygen -y makes the public half of a key", "[deploy] key: %s: %v", file, err)
	}
	return keys, nil
}

// keysOf reads the lines of a file of public keys.
func keysOf(file string) ([]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		if e := (*fs.PathError)(nil); errors.As(err, &e) {
			err = e.Err
		}
		return nil, err
	}
	var keys []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			keys = append(keys, line)
		}
	}
	return keys, nil
}
