package fake

import (
	"net/url"
	"os"
	"path/filepath"

	"github.com/hostler-project/hostler/compute"
	"github.com/hostler-project/hostler/remote/process"
)

// open opens a connection to a computer that is up. User data becomes the file user-data in its
// home directory; nothing runs it.
func (p *Provider) open(id compute.ID, userData []byte) (compute.Conn, error) {
	mark := map[string]string{"HOSTLER_FAKE": string(id)}
	switch p.o.Exec {
	case "exec":
		return process.New(process.Options{KeepEnv: true, Mark: mark}), nil
	case "home":
		home := p.home(id)
		if err := os.MkdirAll(home, 0o700); err != nil {
			return nil, fault("connect", id, compute.ErrFailed, err)
		}
		if len(userData) > 0 {
			if err := os.WriteFile(filepath.Join(home, "user-data"), userData, 0o600); err != nil {
				return nil, fault("connect", id, compute.ErrFailed, err)
			}
		}
		mark["HOME"], mark["XDG_STATE_HOME"], mark["HOSTLER_BUNDLES"] = home, "", filepath.Join(home, ".bundles")
		return process.New(process.Options{KeepEnv: true, Dir: home, Mark: mark}), nil
	}
	return p.reply(id), nil
}

// home returns the home directory of a computer that has one. Escaping leaves no slash in its name,
// and the suffix no "..".
func (p *Provider) home(id compute.ID) string {
	return filepath.Join(p.o.Dir, url.PathEscape(p.o.Source)+","+url.PathEscape(string(id))+".home")
}

// leave removes a computer's home directory.
func (p *Provider) leave(id compute.ID) error {
	if p.o.Exec != "home" {
		return nil
	}
	return os.RemoveAll(p.home(id))
}
