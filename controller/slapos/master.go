package slapos

import (
	"strings"

	"github.com/hostler-project/hostler/slapos/cfg"
	"github.com/hostler-project/hostler/slapos/master"
)

// Multimaster begins the name of a section of slapos.cfg about another master, before its URL.
const Multimaster = "multimaster/"

// ReadMaster reads what a master is to be from the slapos.cfg of a master of its own.
func ReadMaster(f *cfg.File) (opt master.Options, err error) {
	if opt.Computer, err = f.First("computer_id", "slapos", "slapproxy"); err != nil {
		return opt, err
	}
	section := "slapos"
	if f.Has("slapproxy", "software_product_list") {
		section = "slapproxy"
	}
	lines, err := f.Lines(section, "software_product_list")
	if err != nil {
		return opt, err
	}
	for _, line := range lines {
		if !AddProduct(&opt, line) {
			return opt, f.Fail(section, "software_product_list", "has a line that is not NAME URL: %q", line)
		}
	}
	if f.Has("slapproxy", "frontends") {
		lines, err := f.Lines("slapproxy", "frontends")
		if err != nil {
			return opt, err
		}
		var bad string
		if opt.Frontends, bad = master.ParseFrontends(lines); bad != "" {
			return opt, f.Fail("slapproxy", "frontends", "has a line that is not PART-OF-URL [TYPE] url|host: %q", bad)
		}
	}
	opt.Forwards = true // the panel does
	for _, section := range f.Sections() {
		named, ok := strings.CutPrefix(section, Multimaster)
		if !ok {
			continue
		}
		x := master.External{URL: named}
		for key, to := range map[string]*string{
			"key": &x.KeyFile, "cert": &x.CertFile, "ca": &x.CAFile, "computer": &x.Computer, "partition": &x.Partition,
		} {
			if *to, err = f.Text(section, key); err != nil {
				return opt, err
			}
		}
		if x.Releases, err = f.Lines(section, "software_release_list"); err != nil {
			return opt, err
		}
		opt.Masters = append(opt.Masters, x)
	}
	return opt, nil
}
