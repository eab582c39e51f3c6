package nodecmd

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/hostler-project/hostler/slapos/node/service"
)

// nodeTexts are the options with a path or a name, and their help; those of all commands come
// first.
var nodeTexts = []struct {
	name, usage string
	pass, dir   bool
}{
	{"instance-root", "instances are in `DIR`", false, true},
	{"supervisord-socket", "the supervisor listens at `PATH`; sv.sock in the instances' directory unless it is said", false, false},
	{"software-root", "software is in `DIR`", false, true},
	{"master-url", "the master is at `URL`", false, false},
	{"computer-id", "this computer is `ID`", false, false},
	{"key-file", "the key to its certificate is in `FILE`", false, false},
	{"cert-file", "its certificate is in `FILE`", false, false},
	{"master-ca-file", "who signs the master's certificate is in `FILE`", false, false},
	{"certificate-repository-path", "the partitions' certificates are in `DIR`", false, true},
	{"supervisord-configuration-path", "as SlapOS has it, and without a meaning here: `FILE`", true, false},
	{"buildout", "the program `FILE` bootstraps a release", true, false},
	{"pidfile", "the number of the process is written to `FILE`", true, false},
	{"signature-private-key-file", "what is sent to a binary cache is signed with the key in `FILE`", true, false},
}

// applyTexts applies the options with a path or a name.
func (o *nodeOptions) applyTexts(cmd *cobra.Command, n *service.Node) (err error) {
	for name, to := range map[string]*string{"instance-root": &n.Settings.InstanceRoot,
		"software-root": &n.Settings.SoftwareRoot, "master-url": &n.Settings.Master, "computer-id": &n.Settings.Computer,
		"key-file": &n.Settings.KeyFile, "cert-file": &n.Settings.CertFile, "master-ca-file": &n.Settings.CAFile,
		"certificate-repository-path": &n.Settings.Certificates, "supervisord-socket": &n.Socket,
		"buildout": &n.Settings.Buildout, "signature-private-key-file": &n.SignatureKey} {
		if !cmd.Flags().Changed(name) {
			continue
		}
		text := *o.texts[name]
		if name != "computer-id" && name != "master-url" && text != "" {
			if text, err = filepath.Abs(text); err != nil {
				return err
			}
		}
		*to = text
		n.Options = append(n.Options, "--"+name+"="+text)
	}
	return nil
}
