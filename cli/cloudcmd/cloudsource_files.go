package cloudcmd

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hostler-project/hostler/provider/openstack/deployment"
)

// written returns the source's files, by their paths below the configuration directory.
func (s *cloudSource) written(rec *deployment.Record, o *cloudDeployOptions) (map[string][]byte, error) {
	out := map[string][]byte{filepath.Join("sources", rec.Name, "source.conf"): []byte(s.text(rec, o))}
	if s.goodbye != "" {
		data, err := os.ReadFile(s.goodbye)
		if err != nil {
			return nil, err
		}
		out[filepath.Join("sources", rec.Name, "goodbye")] = data
		out[filepath.Join(
			"sources", rec.Name, "discard.d", "50-destroy-script",
		)] = []byte("#!/bin/sh\nexec hostler run \"$1\" -- sh -s <\"${0%/*}/../goodbye\"\n")
	}
	if s.script == "" && len(s.files) == 0 {
		return out, nil
	}
	dir := filepath.Join("bundles", rec.Name)
	conf := "# Written by hostler cloud deploy, and removed by hostler cloud teardown as long as it is not changed.\n"
	var sections strings.Builder
	if s.script != "" {
		data, err := os.ReadFile(s.script)
		if err != nil {
			return nil, err
		}
		out[filepath.Join(dir, "scripts", "script")] = data
		conf += "scripts = script\ntimeout = 15m\n"
	}
	var remotes []string
	for i, f := range s.files {
		local, remote, err := s.configFile(f)
		if err != nil {
			return nil, err
		}
		data, err := os.ReadFile(local)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("%d-%s", i+1, filepath.Base(local))
		out[filepath.Join(dir, "files", name)] = data
		remotes = append(remotes, remote)
		fmt.Fprintf(&sections, "\n[file %s]\nsource = %s\nmode = 0600\n", remote, name)
		if s.user != "" && s.user != "root" {
			fmt.Fprintf(&sections, "owner = %s\n", s.user)
		}
	}
	if len(remotes) > 0 {
		conf += "files = " + strings.Join(remotes, ", ") + "\n"
	}
	out[filepath.Join(dir, "bundle.conf")] = []byte(conf + sections.String())
	return out, nil
}
