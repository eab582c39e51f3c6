package main

import (
	"context"
	"net"
	"net/http"
	"os"

	"github.com/hostler-project/hostler/slap/cfg"
	"github.com/hostler-project/hostler/slap/master"
	"github.com/hostler-project/hostler/slap/panel"
)

// publicDirectory reads which directory's files a master gives away.
func publicDirectory(f *cfg.File) (string, error) {
	const key = "public_directory_path"
	for _, section := range []string{"slapproxy", "slapos"} {
		if !f.Has(section, key) {
			continue
		}
		path, err := f.Text(section, key)
		if err != nil || path == "" {
			return "", err
		}
		if info, err := os.Stat(path); err != nil {
			return "", f.Fail(section, key, "cannot be used: %v", err)
		} else if !info.IsDir() {
			return "", f.Fail(section, key, "is no directory: %s", path)
		}
		return path, nil
	}
	return "", nil
}

// withPanel puts a master's page before what it answers, with its public files and the way to instances.
func (s *slapos) withPanel(m *master.Master, o *slaposProxy, rest http.Handler) http.Handler {
	who := o.tls.who(m)
	return panel.Handler(panel.Options{
		Public: o.public,
		Log:    s.a.log,
		May: func(r *http.Request) error {
			if who == nil {
				return nil
			}
			_, err := who(r)
			return err
		},
		Reachable: func(ctx context.Context, ip net.IP) (bool, error) {
			if o.tls.mode != "off" && (ip.IsLoopback() || ip.IsLinkLocalUnicast() || ip.IsUnspecified() || ip.IsMulticast()) {
				return false, nil // a node may say that it has such an address, and it would be this machine's
			}
			computers, err := m.Computers(ctx, master.Anybody)
			if err != nil {
				return false, err
			}
			for _, c := range computers {
				for _, p := range c.Partitions {
					for _, a := range p.Addresses {
						if ip.Equal(net.ParseIP(a.IP)) {
							return true, nil
						}
					}
				}
			}
			return false, nil
		},
	}, rest)
}
