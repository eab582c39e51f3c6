// Package cfg reads the configuration files of SlapOS: slapos.cfg of nodes, slapos-client.cfg of
// people and programs, and the file of a micro-master. They are INI, with %(key)s for another key's
// value, and indented lines that continue the value before them.
//
// Unknown sections and keys are ignored, as files hold sections of other programs too;
// [File.Unknown] lists them. A wrong value is an [*Error] that names file, line and key. In keys -
// and _ are the same, and so are capital and small letters.
//
// A value is read when it is asked for, so an unused value cannot be an error. A File does not
// change once it is read, and may be used concurrently.
package cfg

// The names below the directory of a stand-alone: its configuration, and the script that is the
// command slapos there.
const (
	StandaloneFile   = "etc/slapos.cfg"
	StandaloneScript = "bin/slapos"
)
